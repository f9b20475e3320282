// The one way bytes come in from a URL.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace quarry::objects {

struct FetchOptions {
  bool allow_private_networks = false;  // loopback, link-local, private, unique-local, multicast, reserved, and their IPv6-mapped forms
  uint64_t max_bytes = 512ull << 20;
  int64_t timeout_ms = 60'000;
  int max_redirects = 5;
  // If set, decides alone which addresses may be connected to. Called on the fetching thread.
  std::function<bool(const sockaddr&)> allow_address;
};

struct Fetched {
  std::string bytes;
  std::string content_type;  // as the server said; not to be trusted
  std::string filename;      // from Content-Disposition or the URL; sanitised
};

// http and https only. The connection goes to the very address that was checked (the check sits between resolving and connecting), again on
// every redirect. Errors: kBadRequest (form, refused address), kPayloadTooLarge, kTimeout, kStorage (the server's status or a network
// failure).
class Fetcher {
 public:
  static std::unique_ptr<Fetcher> make(FetchOptions options);
  virtual ~Fetcher() = default;
  virtual Result<Fetched> get(const std::string& url) = 0;
};

// Form only: scheme, host, no credentials, length; no name is resolved.
Status check_url(std::string_view url);

}  // namespace quarry::objects
