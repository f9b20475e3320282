# Shared by ./run and its parts: one line per step with its time, output of each step in a log file.
deps_dir=$root/.deps
log_dir=$root/build/logs
venv_dir=$deps_dir/venv
model_dir=$deps_dir/models/all-minilm-l6-v2

say() { printf '%s\n' "$*" >&2; }

die() {
  say "run: $*"
  exit 1
}

# step NAME COMMAND...: runs a command quietly in a subshell; on failure prints the end of its log and exits.
# A command that calls `note TEXT` has that text shown on its line.
step() {
  local name=$1 rc=0 began=$EPOCHREALTIME log note_file
  shift
  mkdir -p "$log_dir"
  log=$log_dir/${name//[^A-Za-z0-9]/-}.log
  note_file=$log.note
  rm -f "$note_file"
  printf '%-34s ' "$name" >&2
  set +e
  (set -e; NOTE_FILE=$note_file "$@") >"$log" 2>&1 </dev/null
  rc=$?
  set -e
  if ((rc != 0)); then
    printf 'failed after %s s\n' "$(seconds_since "$began")" >&2
    tail -n "${RUN_LOG_TAIL:-30}" "$log" | sed 's/^/  | /' >&2
    die "$name failed (exit $rc); the whole log: ${log#"$root"/}"
  fi
  printf '%7s s  %s\n' "$(seconds_since "$began")" "$(cat "$note_file" 2>/dev/null)" >&2
  rm -f "$note_file"
}

note() { [[ -z ${NOTE_FILE:-} ]] || printf '%s' "$*" >"$NOTE_FILE"; }

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Stamps make a step idempotent: the digest of everything that it depends on, kept beside its result.
digest_of() { cat "$@" | sha256sum | cut -c1-32; }

is_current() { [[ -f $1 && $(<"$1") == "$2" ]]; }

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 77
  fi
}

# One set-up at a time in a checkout; the lock goes with the process.
lock_setup() {
  mkdir -p "$deps_dir"
  exec {setup_lock}>"$deps_dir/.lock"
  flock "$setup_lock"
}

unlock_setup() { exec {setup_lock}>&-; }
