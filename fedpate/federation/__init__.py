"""Hospital and coordinator on Flower, and the engines that carry their messages."""
