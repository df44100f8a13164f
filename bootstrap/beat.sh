#!/bin/sh
# shellcheck shell=dash
#
# An example of a wake: tokmon's hook picks the account, and this becomes pi on it. Copy it and make it yours.
#
#   beat.sh [PI-ARGUMENT ...]      all arguments are pi's, for example: beat.sh -p "$(cat prompt.md)"
#
#   TOKMON_PIN=team-ludo beat.sh …        this account, this once, whatever is known of it
#   TOKMON_MISSION=fix-login beat.sh …    what the money is spent for: it goes with every event of the session
#   TOKMON_HOOK=/path/budget-select       the hook; default: where the installer puts it
#   TOKMON_PI='node /path/cli.js'         how pi is run; default: pi
#
# tokmon cannot keep pi from starting: with the hook missing, broken or silent, pi starts on the provider that the
# environment names (TOKMON_PIN, TOKMON_DEFAULT_PROVIDER, VIGILIO_PROVIDER; TOKMON_DEFAULT_MODEL), or else on pi's own.

main() {
  find_hook
  choice=
  [ ! -x "$hook" ] || choice=$("$hook" </dev/null)
  # A shell takes seconds to look for a blank in a long text, and no answer is long.
  [ ${#choice} -le 401 ] || choice=
  provider=${choice%% *}
  model=${choice#* }
  # One line of two words, neither of which pi could take for an option.
  if [ "$choice" != "$provider $model" ] || ! word "$provider" || ! word "$model"; then
    printf 'beat: no decision: starting pi without one\n' >&2
    for provider in "${TOKMON_PIN-}" "${TOKMON_DEFAULT_PROVIDER-}" "${VIGILIO_PROVIDER-}" ''; do
      ! word "$provider" || break
    done
    model=${TOKMON_DEFAULT_MODEL-}
    word "$model" || model=
  fi
  if [ -n "$model" ]; then set -- --model "$model" "$@"; fi
  if [ -n "$provider" ]; then set -- --provider "$provider" "$@"; fi

  # This once: what the session wakes in turn chooses for itself.
  unset TOKMON_PIN
  export TOKMON_MISSION="${TOKMON_MISSION-}"
  # TOKMON_PI may be several words, and none of them is a pattern.
  set -f
  # shellcheck disable=SC2086
  exec ${TOKMON_PI:-pi} "$@"
}

# find_hook: sets `hook`
find_hook() {
  hook=${TOKMON_HOOK-}
  [ -z "$hook" ] || return 0
  case ${XDG_DATA_HOME-} in
    /*) hook=$XDG_DATA_HOME/tokmon/hooks/budget-select ;;
    *) hook=${HOME-}/.local/share/tokmon/hooks/budget-select ;;
  esac
}

# word TEXT: whether it is one word and no option
word() {
  case $1 in
    '' | -* | *[[:space:]]*) return 1 ;;
    *) return 0 ;;
  esac
}

main "$@"
