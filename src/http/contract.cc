#include "http/contract.h"

#include <fmt/format.h>

#include <map>

#include "api/embedded.h"

namespace quarry::http {
namespace {

Error malformed(std::string_view what) { return internal_error("api/openapi.json: " + std::string(what)); }

const json::object* member_object(const json::object& node, std::string_view name) {
  const json::value* value = node.if_contains(name);
  return value != nullptr ? value->if_object() : nullptr;
}

std::string_view member_text(const json::object& node, std::string_view name) {
  const json::value* value = node.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::vector<std::string> template_names(std::string_view path) {
  std::vector<std::string> names;
  for (size_t open = path.find('{'); open != path.npos; open = path.find('{', open + 1))
    names.emplace_back(path.substr(open + 1, path.find('}', open) - open - 1));
  return names;
}

Result<service::Admission> read_admission(const json::object& quarry) {
  using Scope = service::Admission::Scope;
  constexpr std::pair<std::string_view, Scope> scopes[] = {
      {"public", Scope::kPublic}, {"organization", Scope::kOrganization}, {"namespace", Scope::kNamespace}};
  constexpr std::pair<std::string_view, Permission> permissions[] = {
      {"read", kRead}, {"write", kWrite}, {"delete", kDelete}, {"admin", kAdmin}};
  service::Admission admission;
  bool scope_known = false, permission_known = false;
  for (auto& [name, scope] : scopes)
    if (name == member_text(quarry, "scope")) admission.scope = scope, scope_known = true;
  for (auto& [name, permission] : permissions)
    if (name == member_text(quarry, "permission")) admission.permission = permission, permission_known = true;
  if (!scope_known || !permission_known) return malformed("x-quarry without a known scope and permission");
  return admission;
}

const json::object* body_content(const json::object& node, std::string_view media_type) {
  const json::object* request = member_object(node, "requestBody");
  const json::object* content = request != nullptr ? member_object(*request, "content") : nullptr;
  return content != nullptr ? member_object(*content, media_type) : nullptr;
}

BodyKind body_kind(const json::object& node) {
  if (!node.contains("requestBody")) return BodyKind::kNone;
  return body_content(node, "application/json") != nullptr ? BodyKind::kJson : BodyKind::kRaw;
}

bool takes_object(const Schema& schema) {
  if (schema.types == kAnyType && schema.any_of.empty()) return true;
  if ((schema.types & kObjectType) != 0) return true;
  for (const Schema* branch : schema.any_of)
    if (takes_object(*branch)) return true;
  return false;
}

}  // namespace

Result<std::shared_ptr<const Contract>> Contract::load_embedded() {
  QUARRY_ASSIGN_OR_RETURN(std::shared_ptr<const Contract> contract, ContractDocument::parse(api::openapi_json()));
  return contract;
}

Result<std::shared_ptr<const ContractDocument>> ContractDocument::parse(std::string_view text) {
  std::shared_ptr<ContractDocument> document(new ContractDocument(text));
  try {
    QUARRY_RETURN_IF_ERROR(document->read());
  } catch (const std::exception& e) {
    return malformed(e.what());
  }
  return std::shared_ptr<const ContractDocument>(std::move(document));
}

Status ContractDocument::read() {
  json::error_code ec;
  json::parse_options options;
  options.max_depth = 256;
  root_ = json::parse(text_, ec, &memory_, options);
  if (ec) return malformed("not JSON: " + ec.message());
  const json::object* root = root_.if_object();
  const json::object* paths = root != nullptr ? member_object(*root, "paths") : nullptr;
  if (paths == nullptr) return malformed("no paths");
  for (const auto& path : *paths) {
    if (!path.value().is_object()) return malformed("a path without methods");
    for (const auto& method : path.value().get_object()) {
      Method parsed = parse_method(method.key());
      if (static_cast<size_t>(parsed) >= kRoutedMethods || !method.value().is_object())
        return malformed("an unknown method at " + std::string(path.key()));
      QUARRY_RETURN_IF_ERROR(read_operation(parsed, path.key(), method.value().get_object()));
    }
  }
  set_ = std::make_unique<SchemaSet>(root_);
  lazy_.resize(operations_.size());
  return Ok{};
}

Status ContractDocument::read_operation(Method method, std::string_view path, const json::object& node) {
  const json::object* quarry = member_object(node, "x-quarry");
  std::string_view id = member_text(node, "operationId");
  if (id.empty() || quarry == nullptr) return malformed("no operationId or x-quarry at " + std::string(path));
  Operation operation;
  operation.index = operations_.size();
  operation.id = id;
  operation.method = method;
  operation.path = path;
  operation.path_names = template_names(path);
  operation.node = &node;
  operation.body = body_kind(node);
  if (const json::value* tags = node.if_contains("tags"); tags != nullptr && tags->is_array() && !tags->get_array().empty())
    operation.group = tags->get_array()[0].as_string();
  QUARRY_ASSIGN_OR_RETURN(operation.admission, read_admission(*quarry));
  if (const json::value* flag = quarry->if_contains("inline")) operation.runs_inline = flag->is_bool() && flag->get_bool();
  router_.add(method, path, static_cast<uint32_t>(operation.index));
  operations_.push_back(std::move(operation));
  return Ok{};
}

Result<const OperationSchemas*> ContractDocument::schemas(const Operation& operation) const {
  Lazy& lazy = lazy_[operation.index];
  std::call_once(lazy.once, [&] { lazy.made.emplace(compile(operation)); });
  if (!lazy.made->ok()) return lazy.made->error();
  return &lazy.made->value();
}

Result<OperationSchemas> ContractDocument::compile(const Operation& operation) const {
  try {
    return compile_unguarded(operation);
  } catch (const std::exception& e) {
    return malformed(operation.id + ": " + e.what());
  }
}

Result<OperationSchemas> ContractDocument::compile_unguarded(const Operation& operation) const {
  OperationSchemas out;
  out.path.resize(operation.path_names.size());
  if (const json::value* parameters = operation.node->if_contains("parameters")) {
    for (const json::value& item : parameters->as_array()) {
      const json::object& node = item.as_object();
      QUARRY_ASSIGN_OR_RETURN(const Schema* schema, set_->compile(node.at("schema")));
      const json::value* required = node.if_contains("required");
      Parameter parameter{node.at("name").as_string(), required != nullptr && required->is_bool() && required->get_bool(), schema};
      std::string_view where = member_text(node, "in");
      if (where == "query") out.query.push_back(parameter);
      for (size_t i = 0; where == "path" && i < operation.path_names.size(); ++i)
        if (operation.path_names[i] == parameter.name) out.path[i] = parameter;
    }
  }
  if (const json::object* content = body_content(*operation.node, "application/json")) {
    QUARRY_ASSIGN_OR_RETURN(out.body, set_->compile(content->at("schema")));
    out.body_takes_object = takes_object(*out.body);
  }
  return out;
}

std::string ContractDocument::coverage(const service::Api& api) const {
  struct Group {
    size_t built = 0;
    std::string rows;
  };
  std::map<std::string, Group> groups;
  size_t built = 0;
  for (const Operation& operation : operations_) {
    Group& group = groups[operation.group];
    bool has_handler = api.find(operation.id) != nullptr;
    built += has_handler;
    group.built += has_handler;
    group.rows +=
        fmt::format("  {:<5}  {:<6} {} {}\n", has_handler ? "built" : "501", to_string(operation.method), operation.path, operation.id);
  }
  std::string out;
  for (auto& [name, group] : groups) {
    auto total = static_cast<size_t>(std::count(group.rows.begin(), group.rows.end(), '\n'));
    out += fmt::format("{} ({} of {})\n{}", name, group.built, total, group.rows);
  }
  return out + fmt::format("total: {} of {} operations built\n", built, operations_.size());
}

}  // namespace quarry::http
