# The sample corpus: real files out of Debian packages, downloaded once, never installed.
corpus_dir=$root/examples/corpus

make_corpus() {
  local want packages part=$deps_dir/corpus.part stamp=$corpus_dir/.stamp debs=$deps_dir/corpus-debs
  want=$(digest_of "$root/examples/corpus.manifest.tsv" "$root/tools/corpus/fetch.py")
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  packages=$(/usr/bin/python3 -B "$root/tools/corpus/fetch.py" --packages)
  # shellcheck disable=SC2086 -- a list of words
  fetch_debs "$debs" $packages
  rm -rf "$part"
  note "$(/usr/bin/python3 -B "$root/tools/corpus/fetch.py" "$debs" "$part" | tee /dev/stderr | tail -n 1)"
  echo "$want" >"$part/.stamp"
  rm -rf "$corpus_dir"
  mv "$part" "$corpus_dir"
  rm -rf "$debs"
}

setup_corpus() { step "sample corpus" make_corpus; }
