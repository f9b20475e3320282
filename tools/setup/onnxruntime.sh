# ONNX Runtime: the library comes with the Python wheel; its headers come from Debian 13, unpacked and never installed.
ort_dir=$deps_dir/onnxruntime
ort_header_package=libonnxruntime-dev
ort_header_suite=trixie

# The Debian mirror that this machine uses already.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)|$(LABEL)|$(CODENAME)' 'Created-By: Packages' |
    awk -F'|' '$2 == "Debian" { print $1; exit }'
}

# apt with a private source list and state, so that the machine's own stays as it is. private_apt STATE ARGS...
private_apt() {
  local state=$1
  shift
  apt-get -q -o "Dir::State=$state" -o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state/cache" \
    -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null \
    -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State::Status=/var/lib/dpkg/status -o Acquire::Languages=none \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o "APT::Sandbox::User=$(id -un)" "$@"
}

fetch_ort_headers() {
  local state=$deps_dir/apt-$ort_header_suite mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(debian_mirror)
  if [[ -z $mirror ]]; then # no package lists on this machine yet
    as_root apt-get -q update || true
    mirror=$(debian_mirror)
  fi
  [[ -n $mirror ]] || { echo "no Debian mirror among this machine's apt sources; install ONNX Runtime's headers for CMake to find"; return 1; }
  [[ -r $keyring ]] || { echo "$keyring is absent: install debian-archive-keyring"; return 1; }
  rm -rf "$state"
  mkdir -p "$state"/lists/partial "$state"/cache/archives/partial
  echo "deb [signed-by=$keyring] $mirror $ort_header_suite main" >"$state/sources.list"
  private_apt "$state" -o APT::Update::Error-Mode=any update
  (cd "$state" && private_apt "$state" download "$ort_header_package")
  rm -rf "$ort_dir"
  mkdir -p "$ort_dir"
  dpkg -x "$state"/"$ort_header_package"_*.deb "$ort_dir"
  rm -rf "$state"
}

make_onnxruntime() {
  local capi want stamp=$ort_dir/.stamp lib
  want=$(digest_of "$venv_dir/.base" "$root/tools/setup/onnxruntime.sh")
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  [[ -f $ort_dir/usr/include/onnxruntime/onnxruntime_cxx_api.h ]] || fetch_ort_headers
  capi=$(echo "$venv_dir"/lib/python3*/site-packages/onnxruntime/capi)
  lib=$(cd "$capi" && ls libonnxruntime.so.*.*.*)
  mkdir -p "$ort_dir/lib" # the wheel has neither the link that the loader wants nor the linker's
  ln -sfn "$capi/$lib" "$ort_dir/lib/libonnxruntime.so.1"
  ln -sfn libonnxruntime.so.1 "$ort_dir/lib/libonnxruntime.so"
  echo "$want" >"$stamp"
  note "library ${lib#libonnxruntime.so.}, headers unpacked in .deps/onnxruntime"
}

setup_onnxruntime() { step "ONNX Runtime" make_onnxruntime; }
