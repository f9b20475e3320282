# ./run package: dist/quarry-VERSION-linux-ARCH.tar.gz, which runs where it is unpacked and needs only glibc (2.36 or newer).
#   bin/quarry bin/quarry-decode   lib/ (the program's libraries)   lib/decode/ (what only the decoder links: poppler and its own)
#   share/quarry/models share/quarry/api   share/doc/quarry (licences)
glibc_libraries='^(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libanl|libnsl|libnss_.*)\.so'

# Prints the path of every shared library that a program loads, glibc's own left out.
libraries_of() {
  local listing
  listing=$(ldd "$1")
  if grep -q 'not found' <<<"$listing"; then
    grep 'not found' <<<"$listing"
    return 1
  fi
  awk '$2 == "=>" { print $1, $3 }' <<<"$listing" | awk -v skip="$glibc_libraries" '$1 !~ skip { print $2 }' | sort -u
}

copy_libraries() {
  local into=$1 path
  mkdir -p "$into"
  while read -r path; do cp -L "$path" "$into/$(basename "$path")"; done
}

# The licence text of each library: of its Debian package, or of its Python wheel.
copy_licences() {
  local doc=$1 path owner site
  while read -r path; do
    owner=$(dpkg -S "$(realpath "$path")" 2>/dev/null | head -n 1 | cut -d: -f1) || true
    [[ -n $owner ]] || continue
    cp -L "/usr/share/doc/$owner/copyright" "$doc/licences/$owner.txt"
  done
  site=$(echo "$venv_dir"/lib/python3*/site-packages)
  cp "$site"/pyarrow-*.dist-info/licenses/LICENSE.txt "$doc/licences/arrow.txt"
  cp "$site"/pyarrow-*.dist-info/licenses/NOTICE.txt "$doc/licences/arrow-notice.txt"
  cp "$site/onnxruntime/LICENSE" "$doc/licences/onnxruntime.txt"
  cp "$site/onnxruntime/ThirdPartyNotices.txt" "$doc/licences/onnxruntime-notices.txt"
  cp "$model_dir/LICENSE" "$doc/licences/all-minilm-l6-v2.txt"
}

assemble() {
  local out=$1 bin=$root/build/release/bin doc=$1/share/doc/quarry program decoder both
  rm -rf "$out"
  mkdir -p "$out/bin" "$out/share/quarry/api" "$out/share/quarry/models" "$doc/licences"
  program=$(libraries_of "$bin/quarry")
  decoder=$(libraries_of "$bin/quarry-decode")
  both=$(printf '%s\n%s\n' "$program" "$decoder" | sort -u)
  install -s "$bin/quarry" "$bin/quarry-decode" "$out/bin"
  copy_libraries "$out/lib" <<<"$program"
  comm -13 <(echo "$program") <(echo "$decoder") | copy_libraries "$out/lib/decode"
  patchelf --set-rpath '$ORIGIN/../lib' "$out/bin/quarry"
  patchelf --set-rpath '$ORIGIN/../lib/decode:$ORIGIN/../lib' "$out/bin/quarry-decode"
  chmod u+w "$out"/lib/*.so* "$out"/lib/decode/*.so*
  patchelf --set-rpath '$ORIGIN' "$out"/lib/*.so*
  patchelf --set-rpath '$ORIGIN:$ORIGIN/..' "$out"/lib/decode/*.so*
  cp -r "$model_dir" "$out/share/quarry/models/"
  rm -f "$out"/share/quarry/models/*/.stamp
  cp "$root/api/openapi.json" "$out/share/quarry/api/"
  copy_licences "$doc" <<<"$both"
  cp "$root/docs/licences.md" "$doc/"
  if [[ -f $root/LICENSE ]]; then cp "$root/LICENSE" "$doc/"; fi
}

pack() {
  local name=$1 archive
  archive=dist/$name.tar.gz
  assemble "$root/dist/$name"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
    -C dist -c "$name" | gzip -6 >"$archive.part"
  mv "$archive.part" "$archive"
  rm -rf "dist/$name"
  note "$archive, $(du -h "$archive" | cut -f1)"
}

make_archive() {
  setup_all package
  build_preset release quarry quarry-decode
  local version
  version=$("$quarry_bin" --version | awk '{ print $NF }')
  step "archive" pack "quarry-$version-linux-$(uname -m)"
}
