#!/bin/sh
# shellcheck shell=dash
#
# An example of a wake: tokmon's hook picks the account, and this becomes pi on it. Copy it and make it yours.
#
#   beat.sh [PI-ARGUMENT ...]      all arguments are pi's, for example: beat.sh -p "$(cat prompt.md)"
#
#   TOKMON_PIN=team-ludo beat.sh ...        this account, this once, whatever its quota
#   TOKMON_MISSION=fix-login beat.sh ...    what the session is for: every event of the session carries it
#   TOKMON_HOOK=/path/budget-select         the hook; default: where the installer puts it
#   TOKMON_PI='node /path/cli.js'           how pi is run; default: pi
#
# stderr says `Budget-select: team-a confirmed` where the last session ran on team-a too, else which accounts it switches
# between.
#
# tokmon cannot keep pi from starting: if the hook is missing, broken or silent, pi starts on the provider that the
# environment names (TOKMON_PIN, TOKMON_DEFAULT_PROVIDER, VIGILIO_PROVIDER; TOKMON_DEFAULT_MODEL), or else on pi's own.

main() {
  find_hook
  choice=
  [ ! -x "$hook" ] || choice=$("$hook" </dev/null)
  # No answer is long, and a shell takes seconds to search a long text.
  [ ${#choice} -le 401 ] || choice=
  provider=${choice%% *}
  model=${choice#* }
  # It must be one line of two words that pi cannot take for options.
  if [ "$choice" != "$provider $model" ] || ! word "$provider" || ! word "$model"; then
    printf 'beat: no decision: starting pi without one\n' >&2
    for provider in "${TOKMON_PIN-}" "${TOKMON_DEFAULT_PROVIDER-}" "${VIGILIO_PROVIDER-}" ''; do
      ! word "$provider" || break
    done
    model=${TOKMON_DEFAULT_MODEL-}
    word "$model" || model=
  fi
  if [ -n "$model" ]; then set -- --model "$model" "$@"; fi
  if [ -n "$provider" ]; then
    announce
    set -- --provider "$provider" "$@"
  fi

  # The pin is for this session: sessions that it starts choose for themselves.
  unset TOKMON_PIN
  export TOKMON_MISSION="${TOKMON_MISSION-}"
  # TOKMON_PI may be several words; none of them is a pattern.
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

# announce: says whether the account is another than that of the last session, and remembers it for the next
announce() {
  case ${XDG_STATE_HOME-} in /*) record=$XDG_STATE_HOME/tokmon ;; *) record=${HOME-}/.local/state/tokmon ;; esac
  record=${TOKMON_STATE_DIR:-$record}/last-account
  # Members that share a home have a pi folder each.
  case ${PI_CODING_AGENT_DIR:+${TOKMON_MEMBER-}} in '' | */*) ;; *) record=$record-$TOKMON_MEMBER ;; esac
  last=
  [ ! -f "$record" ] || IFS= read -r last <"$record"
  [ ${#last} -le 200 ] && word "$last" || last=
  case $last in
    '') printf 'Budget-select: starting on %s\n' "$provider" >&2 ;;
    "$provider") printf 'Budget-select: %s confirmed\n' "$provider" >&2 ;;
    *) printf 'Budget-select: switching %s \342\206\222 %s\n' "$last" "$provider" >&2 ;;
  esac
  [ "$last" = "$provider" ] || (umask 077 && printf '%s\n' "$provider" >"$record") 2>/dev/null
}

# word TEXT: whether it is one word and no option
word() {
  case $1 in
    '' | -* | *[[:space:]]*) return 1 ;;
    *) return 0 ;;
  esac
}

main "$@"
