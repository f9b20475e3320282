# The embedded server of this checkout: data under .quarry, key in .quarry/credentials.json, which the client verbs read.
quarry_bin=$root/build/release/bin/quarry
data_dir=$root/.quarry/data
credentials=$root/.quarry/credentials.json

# read_credential NAME: a member of the credentials file, or nothing.
read_credential() {
  [[ -f $credentials ]] || return 0
  /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2], ""))' "$credentials" "$1"
}

# write_credentials KEY URL; keeps the namespace that is there.
write_credentials() {
  mkdir -p "$(dirname "$credentials")"
  /usr/bin/python3 - "$credentials" "$1" "$2" <<'PYTHON'
import json, os, sys
path, key, url = sys.argv[1:]
known = json.load(open(path)) if os.path.exists(path) else {}
known.update(api_key=key, url=url)
known.setdefault("namespace", "")
part = path + ".part"
with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
    json.dump(known, out)
    out.write("\n")
os.replace(part, path)
PYTHON
}

# The key for this data folder: the credentials file's; else QUARRY_API_KEY; else, for a folder that has keys, a new admin key; else
# a random one. The server takes it as its bootstrap key on an empty folder and ignores it otherwise.
ensure_key() {
  local key=
  if [[ -d $data_dir || -z ${QUARRY_API_KEY:-} ]]; then key=$(read_credential api_key); fi
  [[ -n $key ]] || key=${QUARRY_API_KEY:-}
  if [[ -z $key && -d $data_dir ]]; then
    key=$("$quarry_bin" keys reset --data "$data_dir" 2>/dev/null) || key=
  fi
  [[ -n $key ]] || key=qk_$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  printf '%s' "$key"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

listen_address() {
  local port=${QUARRY_PORT:-8765}
  [[ -z ${QUARRY_LISTEN:-} ]] || { echo "$QUARRY_LISTEN"; return; }
  while ! port_is_free "$port"; do port=$((port + 1)); done
  echo "127.0.0.1:$port"
}

# Starts the server as a child: sets server_pid and server_url. Waits for its one line, or for its end.
start_server() {
  local key listen line=
  key=$(ensure_key)
  listen=$(listen_address)
  server_log=$log_dir/server.log
  server_pid=
  trap 'stop_server' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  exec {ready}< <(QUARRY_API_KEY=$key exec "$quarry_bin" serve --data "$data_dir" --listen "$listen" 2>"$server_log")
  server_pid=$!
  if ! read -r line <&"$ready" || [[ $line != "quarry ready "* ]]; then
    tail -n 20 "$server_log" | sed 's/^/  | /' >&2
    die "the server did not start; its log: ${server_log#"$root"/}"
  fi
  server_url=${line#quarry ready }
  write_credentials "$key" "$server_url"
}

# Ends exactly the child that start_server made, gracefully, and waits for it.
stop_server() {
  [[ -n ${server_pid:-} ]] || return 0
  say "stopping the server"
  kill -TERM "$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  server_pid=
}

# A server that this checkout started earlier and that still answers.
running_url() {
  local url
  url=$(read_credential url)
  [[ -n $url ]] && curl -fsS --max-time 2 -o /dev/null "$url/v1/health" 2>/dev/null && echo "$url"
}

run_all() {
  local began=$EPOCHREALTIME url
  setup_all
  build_preset release quarry quarry-decode
  setup_corpus
  if url=$(running_url); then
    say "a server of this checkout answers at $url already"
    "$quarry_bin" demo "$corpus_dir"
    return
  fi
  start_server
  say "server ready at $server_url (log: ${server_log#"$root"/}), $(seconds_since "$began") s after the start"
  "$quarry_bin" demo "$corpus_dir"
  [[ ${1:-} != once ]] || return 0
  say ""
  say "The server stays up at $server_url until Ctrl-C; its API page: $server_url/docs"
  say "In another terminal: build/release/bin/quarry search \"your words\""
  wait "$server_pid"
}

# ./run serve [FLAGS]: in the foreground, in the place of this script.
serve_only() {
  setup_all
  build_preset release quarry quarry-decode
  (($# == 0)) || exec "$quarry_bin" serve "$@"
  local key listen
  key=$(ensure_key)
  listen=$(listen_address)
  write_credentials "$key" "http://$listen"
  QUARRY_API_KEY=$key exec "$quarry_bin" serve --data "$data_dir" --listen "$listen"
}
