# ./run bench [NAME ...] [OPTIONS]: the benchmarks of bench/run.py on the release build.
bench_dir=$root/build/bench
bench_venv_dir=$deps_dir/bench-venv
bench_targets=(bench-cold bench-embed bench-load bench-model bench-pg-load bench-text bench-upsert)
weaviate_version=v1.35.2

run_bench() {
  setup_all bench
  setup_test_python
  setup_corpus
  build_preset release all "${bench_targets[@]}"
  link_bench_dir
  if names_any_of "text vectors servers filtered burst restart churn growth cold" "$@"; then
    step "Python packages of the peers" make_bench_venv
  fi
  if names_any_of "text vectors servers filtered cold" "$@"; then
    step "paragraphs" make_paragraphs
  fi
  if names_any_of "vectors servers filtered cold" "$@"; then
    step "vectors of the paragraphs" make_paragraph_vectors
  fi
  if names_any_of "cold" "$@"; then setup_s3_servers; fi
  if names_any_of "servers filtered" "$@"; then step "Weaviate" make_weaviate; fi
  export QUARRY_BIN=$root/build/release/bin
  exec "$venv_dir/bin/python" -B "$root/bench/run.py" "$@"
}

# names_any_of "A B" WORD...: whether one of the words is A or B.
names_any_of() {
  local word names=" $1 "
  shift
  for word in "$@"; do
    [[ $names != *" $word "* ]] || return 0
  done
  return 1
}

# Sets are large and slow to make: QUARRY_BENCH_DATA names a folder that several checkouts share.
link_bench_dir() {
  mkdir -p "$root/build"
  if [[ -n ${QUARRY_BENCH_DATA:-} && ! -e $bench_dir ]]; then
    mkdir -p "$QUARRY_BENCH_DATA"
    ln -s "$QUARRY_BENCH_DATA" "$bench_dir"
  fi
  mkdir -p "$bench_dir/text"
}

make_bench_venv() {
  local setup=$root/tools/setup want line absent=() stamp=$bench_venv_dir/.stamp
  want=$(digest_of "$setup"/{requirements,constraints}-bench.txt <(echo "$(realpath "$deps_dir") $(/usr/bin/python3 --version)"))
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  rm -rf "$bench_venv_dir"
  /usr/bin/python3 -m venv "$bench_venv_dir"
  while read -r line; do
    "$bench_venv_dir/bin/python" -m pip --quiet install --disable-pip-version-check -c "$setup/constraints-bench.txt" "$line" || absent+=("${line%%=*}")
  done < <(grep -v '^#' "$setup/requirements-bench.txt")
  echo "$want" >"$stamp"
  note "installed in .deps/bench-venv${absent:+; not to be had here: ${absent[*]}}"
}

# The one peer without a package of programs: built from its module, minutes long; without a Go tool chain it is left out.
make_weaviate() {
  local program=$bench_venv_dir/bin/weaviate-server
  if [[ -x $program ]]; then
    note "present"
  elif ! command -v go >/dev/null; then
    note "left out: no Go tool chain"
  elif GOBIN=$bench_venv_dir/bin GOPATH=$deps_dir/go GOFLAGS="-mod=mod -modcacherw" nice go install -p 2 "github.com/weaviate/weaviate/cmd/weaviate-server@$weaviate_version"; then
    note "$weaviate_version built"
  else
    note "left out: go install failed, see the log"
  fi
}

# Several checkouts may share the folder: one makes, the others wait.
with_bench_lock() {
  exec {bench_lock}>"$bench_dir/.lock"
  flock "$bench_lock"
  "$@"
  exec {bench_lock}>&-
}

make_paragraphs() { with_bench_lock unlocked_paragraphs; }
make_paragraph_vectors() { with_bench_lock unlocked_vectors; }

unlocked_paragraphs() {
  local maker=$root/bench/data/paragraphs.py packages
  if [[ -f $bench_dir/text/paragraphs.jsonl ]]; then
    note "present"
    return
  fi
  packages=$(/usr/bin/python3 -B "$maker" --packages)
  # shellcheck disable=SC2086 -- a list of words
  fetch_debs "$bench_dir/debs" $packages
  note "$(/usr/bin/python3 -B "$maker" "$bench_dir/debs" "$bench_dir/text/paragraphs.jsonl" | tee /dev/stderr | tail -n 1)"
  rm -rf "$bench_dir/debs"
}

# Takes minutes; an ended run goes on where it was.
unlocked_vectors() {
  local vectors=$bench_dir/text/vectors.fvecs
  if [[ -f $vectors ]]; then
    note "present"
    return
  fi
  "$root/build/release/bin/bench-embed" "$deps_dir/models" int8 "$(nproc)" "$bench_dir/text/paragraphs.jsonl" "$vectors.part"
  mv "$vectors.part" "$vectors"
  note "embedded with all-MiniLM-L6-v2, int8"
}
