// A model's folder, as its model.json describes it:
//   {"name", "kind": "text_embedding", "output_name", "dimension", "max_tokens", "pooling": "mean"|"cls", "normalize": bool,
//    "tokenizer": {"kind": "wordpiece", "vocabulary": "vocab.txt", "lowercase": true},
//    "graph": {"inputs": ["input_ids"[, "attention_mask"][, "token_type_ids"]], "output": NAME},
//    "files": {"int8": FILE, "fp32": FILE}, "default_precision": "int8"}
// `files` may be absent: model.onnx then. File names are plain names inside the folder.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace quarry::extract {

struct ModelFolder {
  std::filesystem::path path;
  std::string name;         // the folder's own name
  std::string output_name;  // "all_minilm_l6_v2_v1"
  std::string precision;    // chosen among what the folder holds
  std::filesystem::path model_file, vocabulary_file;
  uint32_t dimension = 0;
  uint32_t max_tokens = 0;   // with [CLS] and [SEP]
  bool cls_pooling = false;  // only for graphs whose output is one vector a token
  bool normalize = true;
  std::vector<std::string> inputs;
  std::string output;
};

// kBadRequest naming file and field. `precision` is taken if there, else the folder's default, else the only one.
Result<ModelFolder> read_model_folder(const std::filesystem::path& path, std::string_view precision);

}  // namespace quarry::extract
