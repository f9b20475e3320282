# The default text model, built from the weights in .deps/venv.
make_model() {
  local want stamp=$model_dir/.stamp
  want=$(digest_of "$root"/tools/model/*.{py,txt} "$root"/tools/setup/{requirements,requirements-model}.txt)
  if is_current "$stamp" "$want"; then
    note "present"
    return
  fi
  rm -rf "$model_dir.part"
  "$venv_dir/bin/python" "$root/tools/model/build_minilm.py" "$model_dir.part"
  echo "$want" >"$model_dir.part/.stamp"
  rm -rf "$model_dir"
  mv "$model_dir.part" "$model_dir"
  note "all-MiniLM-L6-v2 built in .deps/models"
}

setup_model() { step "text model" make_model; }
