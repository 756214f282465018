"""Start-up kits: certificates, node keys, policy and start scripts for a real federation."""
