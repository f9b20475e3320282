// Paths to operations: a trie of segments. A literal segment wins over a parameter; where the literal leads nowhere, the parameter is
// tried.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/method.h"

namespace quarry::http {

struct RouteMatch {
  uint32_t route = 0;                    // as given to add()
  std::vector<std::string> path_values;  // percent-decoded, in the order of the template's parameters
};

// Built once, then immutable: matching is thread-safe. A trailing slash means nothing.
class Router {
 public:
  // `path_template` as in OpenAPI: "/v1/buckets/{bucket_identifier}". Aborts on a second route for the same method and path.
  void add(Method method, std::string_view path_template, uint32_t route);

  // kNotFound; kMethodNotAllowed with details.allow = ["GET", ...]; kBadRequest for a path that is not percent-encoded UTF-8 or too deep.
  Result<RouteMatch> match(Method method, std::string_view path) const;
  // The methods that `path` takes, HEAD and OPTIONS included; empty if the path is unknown.
  std::vector<std::string_view> allowed(std::string_view path) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr size_t kMaxSegments = 24;

  struct Node {
    Node() { routes.fill(kNone); }
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> parameter;
    std::array<uint32_t, kRoutedMethods> routes;
  };
  struct Walk;

  static bool walk(const Node& node, Walk& state, size_t depth);
  static Status split(std::string_view path, std::vector<std::string>& segments);

  Node root_;
};

}  // namespace quarry::http
