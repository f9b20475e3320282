# Debian packages: tools/setup/apt-packages.txt is the one list.
apt_list=$root/tools/setup/apt-packages.txt

packages_of_group() { awk -v g="$1" '!/^#/ { for (i = 2; i <= NF; i++) if ($i == g) print $1 }' "$apt_list"; }

missing_packages() {
  local group wanted
  wanted=$(for group in "$@"; do packages_of_group "$group"; done | sort -u)
  comm -23 <(printf '%s\n' "$wanted") \
    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | awk '$2 == "installed" { print $1 }' | sort -u)
}

install_packages() {
  local missing
  missing=$(missing_packages "$@")
  if [[ -z $missing ]]; then
    note "Debian packages present"
    return
  fi
  command -v apt-get >/dev/null || { echo "this set-up needs Debian 12 or a relative of it: apt-get is absent"; return 1; }
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086 -- a list of words
  set -- $missing
  echo "installing: $*"
  if ! as_root true; then
    echo "not root, and sudo asks for a password or is absent; run this once, then ./run again:"
    echo "  apt-get update && apt-get install -y --no-install-recommends $*"
    return 1
  fi
  as_root apt-get -q -o DPkg::Lock::Timeout=300 update
  case " $* " in
    *" postgresql-15 "*) install_without_cluster "$@" ;;
    *) apt_install "$@" ;;
  esac
  note "$# Debian packages installed"
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"
}

# Debian's postgresql would make and start a server of its own; the tests only want the programs. The setting that prevents
# it is put back afterwards.
install_without_cluster() {
  local conf=/etc/postgresql-common/createcluster.conf rc=0
  apt_install postgresql-common
  as_root sed -i.before-quarry 's/^#\?create_main_cluster *=.*/create_main_cluster = false/' "$conf"
  apt_install "$@" || rc=$?
  as_root mv "$conf.before-quarry" "$conf"
  return "$rc"
}

# Downloads packages that are unpacked rather than installed. fetch_debs FOLDER PACKAGE...
fetch_debs() {
  local into=$1
  shift
  rm -rf "$into.part"
  mkdir -p "$into.part"
  if ! download_debs "$into.part" "$@"; then # the package lists may be old
    as_root apt-get -q -o DPkg::Lock::Timeout=300 update || echo "the package lists could not be refreshed (not root)"
    download_debs "$into.part" "$@"
  fi
  rm -rf "$into"
  mv "$into.part" "$into"
}

download_debs() {
  local into=$1
  shift
  (cd "$into" && apt-get -q -o "APT::Sandbox::User=$(id -un)" download "$@")
}

setup_packages() { step "system packages" install_packages "$@"; }
