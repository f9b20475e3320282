// A small REST client for the verbs.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "main/config.h"

namespace quarry {

struct Credentials {
  std::string url;  // "http://127.0.0.1:8765"
  std::string api_key;
  std::string namespace_;  // id or name; may be empty
};

// Flags and QUARRY_* win over the credentials file; kUnauthorized saying how to get a key when there is none.
Result<Credentials> find_credentials(const Config& config);
std::filesystem::path credentials_file(const Config& config);
// Mode 0600.
Status write_credentials(const std::filesystem::path& file, const Credentials& credentials);

// Not thread-safe; keeps its connection.
class Client {
 public:
  explicit Client(Credentials credentials);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // The reply's body. An error reply becomes an Error whose message is the server's, with the request id in details.
  Result<json::value> call(std::string_view method, std::string_view path, const json::value& body = nullptr);
  // Sends bytes to an absolute or server-relative URL (a presigned PUT).
  Status put_bytes(const std::string& url, std::string_view bytes, const std::string& content_type);

  const std::string& url() const { return credentials_.url; }
  void use_namespace(std::string ns) { credentials_.namespace_ = std::move(ns); }

 private:
  struct Transfer;
  Result<json::value> perform(std::string_view method, const std::string& url, std::string_view body, const std::string& content_type);

  Credentials credentials_;
  void* curl_;
};

}  // namespace quarry
