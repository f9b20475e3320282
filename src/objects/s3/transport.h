// HTTP for the S3 store: a bounded set of libcurl handles, each of which keeps its connection open between requests.
#pragma once

#include <condition_variable>
#include <mutex>

#include "objects/s3/encoding.h"
#include "objects/s3_store.h"

namespace quarry::objects::s3 {

struct HttpRequest {
  std::string method;
  std::string url;
  Pairs headers;
  std::string_view body;  // must outlive the call
  uint64_t max_reply_bytes = 0;
};

struct HttpReply {
  long status = 0;
  Pairs headers;  // names in lower case
  std::string body;
  bool sent_twice = false;  // libcurl found a kept connection dead and sent the request again: the first may have taken effect

  std::string_view header(std::string_view name) const;  // "" if absent
};

// Thread-safe. A reply of any status is a success here. Errors are kStorage: no connection, a timeout, a reply cut short; with
// details.reason where repeating is no use (a certificate that does not hold, a reply past max_reply_bytes).
class Transport {
 public:
  struct Options {
    size_t connections = 32;
    int64_t timeout_ms = 30'000;
    std::string ca_file;
  };
  explicit Transport(Options options);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  Result<HttpReply> send(const HttpRequest& request);

 private:
  class Lease;

  const Options options_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<void*> idle_;  // CURL*; the last one used is the first one taken
  size_t lent_ = 0;
};

}  // namespace quarry::objects::s3
