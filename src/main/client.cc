#include "main/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/file.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxReplyBytes = 256u << 20;

ErrorKind kind_of_status(long status) {
  switch (status) {
    case 400: return ErrorKind::kBadRequest;
    case 401: return ErrorKind::kUnauthorized;
    case 403: return ErrorKind::kForbidden;
    case 404: return ErrorKind::kNotFound;
    case 409: return ErrorKind::kAlreadyExists;
    case 413: return ErrorKind::kPayloadTooLarge;
    case 422: return ErrorKind::kValidation;
    case 429: return ErrorKind::kTooManyRequests;
    case 501: return ErrorKind::kNotImplemented;
    case 503: return ErrorKind::kUnavailable;
    default: return ErrorKind::kInternal;
  }
}

Error reply_error(long status, const json::value& body) {
  std::string message = fmt::format("the server answered {}", status);
  json::object details;
  if (const auto* root = body.if_object()) {
    if (const auto* error = root->if_contains("error"); error != nullptr && error->is_object()) {
      if (const auto* text = error->as_object().if_contains("message"); text != nullptr && text->is_string())
        message = std::string(text->as_string());
      if (const auto* d = error->as_object().if_contains("details"); d != nullptr && d->is_object()) details = d->as_object();
    }
  }
  return {kind_of_status(status), std::move(message), std::move(details)};
}

std::string text_member(const json::object& o, std::string_view key) {
  const auto* v = o.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->as_string()) : std::string();
}

Result<Credentials> read_credentials(const fs::path& file) {
  auto text = read_file(file);
  if (!text.ok()) return std::move(text).error();
  boost::system::error_code ec;
  json::value parsed = json::parse(*text, ec);
  if (ec || !parsed.is_object()) return bad_request(fmt::format("{} is not a JSON object", file.string()));
  const auto& o = parsed.as_object();
  return Credentials{text_member(o, "url"), text_member(o, "api_key"), text_member(o, "namespace")};
}

fs::path home_credentials() {
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".config/quarry/credentials.json";
}

}  // namespace

fs::path credentials_file(const Config& config) {
  if (!config.text("credentials").empty()) return config.path("credentials");
  std::error_code ec;
  fs::path local = ".quarry/credentials.json";
  if (fs::exists(local, ec) || !fs::exists(home_credentials(), ec)) return local;
  return home_credentials();
}

Result<Credentials> find_credentials(const Config& config) {
  Credentials found;
  auto stored = read_credentials(credentials_file(config));
  if (stored.ok())
    found = *stored;
  else if (stored.error().kind != ErrorKind::kNotFound)
    return stored;
  if (!config.text("url").empty()) found.url = config.text("url");
  if (!config.text("api_key").empty()) found.api_key = config.text("api_key");
  if (!config.text("namespace").empty()) found.namespace_ = config.text("namespace");
  if (found.url.empty()) found.url = "http://" + config.text("listen");
  if (found.api_key.empty())
    return Error{ErrorKind::kUnauthorized,
                 fmt::format("no API key: pass --api-key, set QUARRY_API_KEY, or put one into {}; './run' writes that file, and "
                             "'quarry keys reset --data DIR' makes a new key",
                             credentials_file(config).string())};
  return found;
}

Status write_credentials(const fs::path& file, const Credentials& credentials) {
  std::error_code ec;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), ec);
  json::object body{{"url", credentials.url}, {"api_key", credentials.api_key}, {"namespace", credentials.namespace_}};
  return write_file_atomic(fs::absolute(file), json::serialize(body) + "\n", 0600);
}

struct Client::Transfer {
  std::string reply;

  static size_t receive(char* data, size_t, size_t count, void* self) {
    auto& reply = static_cast<Transfer*>(self)->reply;
    if (reply.size() + count > kMaxReplyBytes) return 0;
    reply.append(data, count);
    return count;
  }
};

Client::Client(Credentials credentials) : credentials_(std::move(credentials)), curl_(curl_easy_init()) { QUARRY_CHECK(curl_ != nullptr); }

Client::~Client() { curl_easy_cleanup(curl_); }

Result<json::value> Client::perform(std::string_view method, const std::string& url, std::string_view body,
                                    const std::string& content_type) {
  Transfer transfer;
  curl_easy_reset(curl_);
  curl_slist* headers = nullptr;
  auto add = [&](const std::string& line) { headers = curl_slist_append(headers, line.c_str()); };
  add("Authorization: Bearer " + credentials_.api_key);
  if (!credentials_.namespace_.empty()) add("X-Namespace: " + credentials_.namespace_);
  if (!content_type.empty()) add("Content-Type: " + content_type);
  add("Expect:");
  curl_easy_setopt(curl_, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, std::string(method).c_str());
  curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl_, CURLOPT_PROXY, "");
  curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Transfer::receive);
  curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &transfer);
  if (!content_type.empty()) {
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
    curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  }
  CURLcode code = curl_easy_perform(curl_);
  curl_slist_free_all(headers);
  if (code == CURLE_COULDNT_CONNECT)
    return Error{ErrorKind::kUnavailable,
                 fmt::format("no server answers at {}: start one with './run' or 'quarry serve'", credentials_.url)};
  if (code != CURLE_OK) return Error{ErrorKind::kUnavailable, fmt::format("{} {}: {}", method, url, curl_easy_strerror(code))};
  long status = 0;
  curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
  boost::system::error_code ec;
  json::value parsed = transfer.reply.empty() ? json::value(nullptr) : json::parse(transfer.reply, ec);
  if (status >= 400) return reply_error(status, parsed);
  if (ec) return internal_error(fmt::format("{} {}: the reply is not JSON", method, url));
  return parsed;
}

Result<json::value> Client::call(std::string_view method, std::string_view path, const json::value& body) {
  std::string url = credentials_.url + std::string(path);
  if (body.is_null()) return perform(method, url, "", method == "GET" || method == "DELETE" ? "" : "application/json");
  return perform(method, url, json::serialize(body), "application/json");
}

Status Client::put_bytes(const std::string& url, std::string_view bytes, const std::string& content_type) {
  std::string absolute = url.starts_with("/") ? credentials_.url + url : url;
  auto reply = perform("PUT", absolute, bytes, content_type);
  if (!reply.ok()) return std::move(reply).error();
  return Ok{};
}

}  // namespace quarry
