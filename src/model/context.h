// What travels with every request and every task.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace quarry {

// Bit set; kAdmin includes the rest.
enum Permission : uint8_t { kRead = 1, kWrite = 2, kDelete = 4, kAdmin = 8 };

// A key limited to namespaces carries one per namespace.
struct NamespaceGrant {
  std::string namespace_id;
  uint8_t permissions = 0;
};

struct RequestContext {
  std::string request_id;
  std::string organization_id;  // "org_..."
  std::string internal_id;      // 24 characters; in storage paths, never in replies that do not demand it
  std::string namespace_id;     // resolved from X-Namespace; empty for operations outside a namespace
  std::string key_id;
  std::string user_email;
  uint8_t permissions = 0;
  std::vector<NamespaceGrant> grants;  // empty: every namespace of the organization
  int64_t deadline_us = INT64_MAX;     // on clock->steady_us()
  const Clock* clock = &system_clock();
  const std::atomic<bool>* abandoned = nullptr;  // set once the server waits for the request no longer; outlives the request

  // Null where the key has no such limits, or does not reach the namespace.
  const NamespaceGrant* grant_of(std::string_view id) const {
    for (const auto& grant : grants)
      if (grant.namespace_id == id) return &grant;
    return nullptr;
  }
  bool reaches(std::string_view id) const { return grants.empty() || grant_of(id) != nullptr; }
  bool may(Permission p) const { return (permissions & (p | kAdmin)) != 0; }
  bool expired() const { return (abandoned != nullptr && abandoned->load(std::memory_order_relaxed)) || clock->steady_us() >= deadline_us; }
};

}  // namespace quarry
