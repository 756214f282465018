"""`fedpate completion bash|zsh|fish`: what makes a shell complete verbs, options and settings."""

from collections.abc import Sequence

from fedpate.commands._arguments import Parser

HELP = """\
usage: fedpate completion bash|zsh|fish

Prints a script that makes the Tab key complete verbs, options, groups, settings and their values:
`fedpate simulate mech` becomes `mechanism=`, `mechanism=la` becomes `mechanism=laplace`, and
`mechanism.` lists the settings of the mechanism that was chosen.

  --line TEXT  what the scripts ask: print what TEXT, a line up to the cursor, may become

examples
  fedpate completion bash    # in ~/.bashrc: eval "$(fedpate completion bash)"
  fedpate completion zsh     # in ~/.zshrc, after compinit: eval "$(fedpate completion zsh)"
  fedpate completion fish    # in config.fish: fedpate completion fish | source"""

# A word that ends in = or . goes on: no space after it. Bash takes = for the end of a word, so what
# stands before it must not be given back.
BASH = r"""_fedpate() {
    local line=${COMP_LINE:0:COMP_POINT} word prefix= reply
    word=${line##*[[:space:]]}
    case $COMP_WORDBREAKS in *=*) [[ $word == *=* ]] && prefix=${word%=*}= ;; esac
    COMPREPLY=()
    while IFS=$'\t' read -r reply _; do
        COMPREPLY+=("${reply#"$prefix"}")
    done < <(fedpate completion --line "$line" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=.] ]]; then
        compopt -o nospace
    fi
}
complete -o default -F _fedpate fedpate"""

ZSH = r"""_fedpate() {
    local -a found open closed
    found=("${(@f)$(fedpate completion --line "$LBUFFER" 2>/dev/null)}")
    found=("${(@)found%%$'\t'*}")
    found=("${(@)found:#}")
    if (( ! ${#found} )); then
        _files
        return
    fi
    open=("${(@M)found:#*[=.]}")
    closed=("${(@)found:#*[=.]}")
    (( ${#open} )) && compadd -S '' -a open
    (( ${#closed} )) && compadd -a closed
}
compdef _fedpate fedpate"""

FISH = r"""complete -c fedpate -a '(fedpate completion --line (commandline -cp) 2>/dev/null)'"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def main(args: Sequence[str]) -> int:
    """Print a script, or the candidates that it asks for, one a line with a description.

    Raises:
      ConfigError: another shell.
    """
    parser = Parser(add_help=False)
    parser.add_argument("shell", nargs="?", choices=tuple(SCRIPTS))
    parser.add_argument("--line")
    asked = parser.read(args)
    if asked.line is None and asked.shell is None:
        parser.error(f"completion needs a shell: {', '.join(SCRIPTS)}")
    from fedpate.commands._output import say

    if asked.line is None:
        say(SCRIPTS[asked.shell])
        return 0
    from fedpate.commands._candidates import candidates

    for word, does in candidates(_words(asked.line)):
        say(f"{word}\t{does}" if does else word)
    return 0


def _words(line: str) -> list[str]:
    """The words after the program's name; the last one, perhaps empty, is being typed."""
    _, *words = line.split()
    return words if words and not line[-1].isspace() else [*words, ""]
