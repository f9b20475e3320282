#include "http/router.h"

#include "http/percent.h"

namespace quarry::http {

Method parse_method(std::string_view name) {
  for (auto method : {Method::kGet, Method::kPost, Method::kPut, Method::kPatch, Method::kDelete, Method::kHead, Method::kOptions}) {
    std::string_view known = to_string(method);
    if (known.size() != name.size()) continue;
    size_t same = 0;
    while (same < name.size() && (name[same] & ~0x20) == known[same]) ++same;
    if (same == name.size()) return method;
  }
  return Method::kOther;
}

// One search: where it is, what it took for parameters, and which methods it met on the way.
struct Router::Walk {
  Method method;
  const std::vector<std::string>& segments;
  std::vector<const std::string*> parameters;
  unsigned methods_met = 0;
  uint32_t found = kNone;
};

void Router::add(Method method, std::string_view path_template, uint32_t route) {
  QUARRY_CHECK(static_cast<size_t>(method) < kRoutedMethods);
  Node* node = &root_;
  for (size_t begin = 0; begin < path_template.size();) {
    if (path_template[begin] == '/') {
      ++begin;
      continue;
    }
    size_t end = std::min(path_template.find('/', begin), path_template.size());
    std::string_view segment = path_template.substr(begin, end - begin);
    auto& next = segment.front() == '{' ? node->parameter : node->literals[std::string(segment)];
    if (!next) next = std::make_unique<Node>();
    node = next.get();
    begin = end;
  }
  uint32_t& slot = node->routes[static_cast<size_t>(method)];
  QUARRY_CHECK(slot == kNone);
  slot = route;
}

Status Router::split(std::string_view path, std::vector<std::string>& segments) {
  for (size_t begin = 0; begin < path.size();) {
    if (path[begin] == '/') {
      // Only one slash may stand at the end, and none twice: "//" names an empty identifier.
      bool last = begin + 1 == path.size();
      if (!last && path[begin + 1] == '/') return not_found("the path has an empty segment");
      ++begin;
      continue;
    }
    size_t end = std::min(path.find('/', begin), path.size());
    if (segments.size() == kMaxSegments) return not_found("the path has too many segments");
    segments.emplace_back();
    if (!percent_decode(path.substr(begin, end - begin), false, segments.back()))
      return bad_request("the path is not percent-encoded UTF-8");
    begin = end;
  }
  return Ok{};
}

bool Router::walk(const Node& node, Walk& state, size_t depth) {
  if (depth == state.segments.size()) {
    for (size_t m = 0; m < kRoutedMethods; ++m)
      if (node.routes[m] != kNone) state.methods_met |= 1u << m;
    if (static_cast<size_t>(state.method) >= kRoutedMethods) return false;
    state.found = node.routes[static_cast<size_t>(state.method)];
    return state.found != kNone;
  }
  const std::string& segment = state.segments[depth];
  if (auto it = node.literals.find(segment); it != node.literals.end())
    if (walk(*it->second, state, depth + 1)) return true;
  if (!node.parameter) return false;
  state.parameters.push_back(&segment);
  if (walk(*node.parameter, state, depth + 1)) return true;
  state.parameters.pop_back();
  return false;
}

namespace {

std::vector<std::string_view> method_names(unsigned met) {
  std::vector<std::string_view> names;
  for (size_t m = 0; m < kRoutedMethods; ++m)
    if (met >> m & 1) names.push_back(to_string(static_cast<Method>(m)));
  if (met & 1) names.push_back("HEAD");
  if (met != 0) names.push_back("OPTIONS");
  return names;
}

}  // namespace

Result<RouteMatch> Router::match(Method method, std::string_view path) const {
  std::vector<std::string> segments;
  QUARRY_RETURN_IF_ERROR(split(path, segments));
  Walk state{method == Method::kHead ? Method::kGet : method, segments, {}, 0, kNone};
  if (walk(root_, state, 0)) {
    RouteMatch match;
    match.route = state.found;
    match.path_values.reserve(state.parameters.size());
    for (const std::string* value : state.parameters) match.path_values.push_back(*value);
    return match;
  }
  if (state.methods_met == 0) return not_found("there is no " + std::string(path.substr(0, 200)) + " here; /docs lists the operations");
  json::array allow;
  for (std::string_view name : method_names(state.methods_met)) allow.emplace_back(name);
  return Error{
      ErrorKind::kMethodNotAllowed, std::string(to_string(method)) + " is not an operation of this path", {{"allow", std::move(allow)}}};
}

std::vector<std::string_view> Router::allowed(std::string_view path) const {
  std::vector<std::string> segments;
  if (!split(path, segments).ok()) return {};
  Walk state{Method::kOptions, segments, {}, 0, kNone};
  walk(root_, state, 0);
  return method_names(state.methods_met);
}

}  // namespace quarry::http
