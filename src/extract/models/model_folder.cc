#include "extract/models/model_folder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"

namespace quarry::extract {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kMaxDimension = 65'536, kMaxTokens = 1 << 20;
constexpr std::string_view kKnownInputs[] = {"input_ids", "attention_mask", "token_type_ids"};

// Reads members of one JSON object, remembering the first fault.
class Reader {
 public:
  Reader(const fs::path& file, const json::object& object) : file_(file), object_(object) {}

  std::string text(std::string_view name, std::string_view fallback = "") {
    const json::value* value = find(name);
    if (value == nullptr) return std::string(fallback);
    if (!value->is_string()) return fail(name, "must be a string"), std::string();
    return std::string(value->get_string());
  }

  uint32_t number(std::string_view name, uint32_t limit) {
    const json::value* value = find(name);
    boost::system::error_code error;
    auto number = value == nullptr ? 0 : value->to_number<uint32_t>(error);
    if (value == nullptr || error || number == 0 || number > limit)
      return fail(name, fmt::format("must be a whole number from 1 to {}", limit)), 0;
    return number;
  }

  bool flag(std::string_view name, bool fallback) {
    const json::value* value = find(name);
    if (value == nullptr) return fallback;
    if (!value->is_bool()) return fail(name, "must be true or false"), fallback;
    return value->get_bool();
  }

  const json::object& object(std::string_view name) {
    static const json::object kNone;
    const json::value* value = find(name);
    if (value != nullptr && !value->is_object()) fail(name, "must be an object");
    return value != nullptr && value->is_object() ? value->get_object() : kNone;
  }

  std::vector<std::string> texts(std::string_view name, std::vector<std::string> fallback) {
    const json::value* value = find(name);
    if (value == nullptr) return fallback;
    std::vector<std::string> out;
    if (value->is_array())
      for (const json::value& item : value->get_array())
        if (item.is_string()) out.emplace_back(item.get_string());
    if (!value->is_array() || out.size() != value->get_array().size()) fail(name, "must be a list of strings");
    return out;
  }

  void fail(std::string_view name, std::string_view what) {
    if (fault_.empty()) fault_ = fmt::format("{}: {} {}", file_.string(), name, what);
  }
  const std::string& fault() const { return fault_; }

 private:
  const json::value* find(std::string_view name) const {
    const json::value* value = object_.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const fs::path& file_;
  const json::object& object_;
  std::string fault_;
};

Result<json::object> read_description(const fs::path& file) {
  QUARRY_ASSIGN_OR_RETURN(std::string text, read_file(file));
  boost::system::error_code error;
  json::value parsed = json::parse(text, error);
  if (error || !parsed.is_object()) return bad_request(fmt::format("{}: not a JSON object", file.string()));
  return std::move(parsed.get_object());
}

Result<fs::path> file_in(const fs::path& folder, const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.'))
    return bad_request(fmt::format("{}: '{}' is not a plain file name", folder.string(), name));
  std::error_code error;
  if (!fs::is_regular_file(folder / name, error)) return bad_request(fmt::format("{}: {} is missing", folder.string(), name));
  return folder / name;
}

Status choose_file(Reader& top, std::string_view wanted, ModelFolder& out) {
  const json::object& files = top.object("files");
  std::string fallback = top.text("default_precision");
  std::string name = "model.onnx";
  out.precision = "fp32";
  if (!files.empty()) {
    out.precision = files.contains(wanted) ? std::string(wanted) : files.contains(fallback) ? fallback : std::string(files.begin()->key());
    const json::value& chosen = files.at(out.precision);
    name = chosen.is_string() ? std::string(chosen.get_string()) : "";
  }
  QUARRY_ASSIGN_OR_RETURN(out.model_file, file_in(out.path, name));
  return Ok{};
}

Status check_graph(const fs::path& file, const ModelFolder& model) {
  for (const std::string& input : model.inputs)
    if (std::find(std::begin(kKnownInputs), std::end(kKnownInputs), input) == std::end(kKnownInputs))
      return bad_request(fmt::format("{}: input '{}' is not known", file.string(), input));
  if (model.inputs.empty()) return bad_request(fmt::format("{}: graph.inputs is empty", file.string()));
  if (model.max_tokens < 3) return bad_request(fmt::format("{}: max_tokens must be at least 3", file.string()));
  return Ok{};
}

Status read_tokenizer(const fs::path& file, Reader& top, ModelFolder& out) {
  Reader tokenizer(file, top.object("tokenizer"));
  std::string kind = tokenizer.text("kind", "wordpiece");
  if (kind != "wordpiece" || !tokenizer.flag("lowercase", true))
    return bad_request(fmt::format("{}: tokenizer of kind '{}' is not supported; only lower-case 'wordpiece' is", file.string(), kind));
  QUARRY_ASSIGN_OR_RETURN(out.vocabulary_file, file_in(out.path, tokenizer.text("vocabulary", "vocab.txt")));
  return Ok{};
}

}  // namespace

Result<ModelFolder> read_model_folder(const fs::path& path, std::string_view precision) {
  const fs::path file = path / "model.json";
  QUARRY_ASSIGN_OR_RETURN(json::object description, read_description(file));
  Reader top(file, description);
  ModelFolder out;
  out.path = path;
  out.name = path.filename().string();
  if (std::string kind = top.text("kind", "text_embedding"); kind != "text_embedding")
    top.fail("kind", fmt::format("'{}' is not supported; only text_embedding is", kind));
  out.output_name = top.text("output_name");
  if (out.output_name.empty()) top.fail("output_name", "is missing");
  out.dimension = top.number("dimension", kMaxDimension);
  out.max_tokens = top.number("max_tokens", kMaxTokens);
  out.normalize = top.flag("normalize", true);
  std::string pooling = top.text("pooling", "mean");
  out.cls_pooling = pooling == "cls";
  if (pooling != "mean" && pooling != "cls") top.fail("pooling", "must be mean or cls");
  Reader graph(file, top.object("graph"));
  out.inputs = graph.texts("inputs", {"input_ids", "attention_mask"});
  out.output = graph.text("output", "sentence_embedding");
  for (const Reader* reader : {&top, &graph})
    if (!reader->fault().empty()) return bad_request(reader->fault());
  QUARRY_RETURN_IF_ERROR(check_graph(file, out));
  QUARRY_RETURN_IF_ERROR(read_tokenizer(file, top, out));
  QUARRY_RETURN_IF_ERROR(choose_file(top, precision, out));
  return out;
}

}  // namespace quarry::extract
