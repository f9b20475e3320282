#include "objects/fetcher.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/executor.h"
#include "objects/address_policy.h"
#include "objects/fetched_name.h"

namespace quarry::objects {
namespace {

constexpr size_t kMaxUrlBytes = 8'192;
constexpr long kConnectTimeoutMs = 15'000;
constexpr long kNotFollowed = 0;

struct EasyDeleter {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;
using Url = std::unique_ptr<CURLU, UrlDeleter>;

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string out(text);
  curl_free(text);
  return out;
}

// What messages show of a URL: no query, which may hold secrets.
std::string shown(std::string_view url) { return std::string(url.substr(0, std::min<size_t>(url.find_first_of("?#"), 300))); }

// One transfer; the callbacks of curl write here.
struct Transfer {
  const FetchOptions& options;
  std::string body;
  std::string content_disposition;
  std::string refused_address;
  bool too_large = false;
  bool out_of_memory = false;
};

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.body.size() + size > transfer.options.max_bytes) {
    transfer.too_large = true;
    return 0;
  }
  try {
    transfer.body.append(data, size);
  } catch (const std::bad_alloc&) {
    transfer.out_of_memory = true;
    return 0;
  }
  return size;
}

// Each reply of a chain of redirects begins anew.
size_t on_header(char* data, size_t, size_t size, void* user) {
  constexpr std::string_view kDisposition = "content-disposition:";
  constexpr size_t kMaxHeader = 4'096;
  auto& transfer = *static_cast<Transfer*>(user);
  std::string_view line(data, size);
  if (line.starts_with("HTTP/")) {
    transfer.content_disposition.clear();
    transfer.body.clear();
  }
  const bool matches = line.size() > kDisposition.size() && line.size() < kMaxHeader &&
                       std::equal(kDisposition.begin(), kDisposition.end(), line.begin(),
                                  [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + ('a' - 'A')) : b); });
  if (matches) transfer.content_disposition = line.substr(kDisposition.size());
  return size;
}

// Called with the address that curl is about to connect to, after every resolution: first request and redirects alike.
curl_socket_t on_open_socket(void* user, curlsocktype purpose, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  const FetchOptions& options = transfer.options;
  const bool allowed =
      purpose == CURLSOCKTYPE_IPCXN &&
      (options.allow_address ? options.allow_address(address->addr) : options.allow_private_networks || is_public_address(address->addr));
  if (!allowed) {
    transfer.refused_address = format_address(address->addr);
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

void configure(CURL* handle, const std::string& url, Transfer& transfer) {
  const FetchOptions& options = transfer.options;
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, options.max_redirects > 0 ? 1L : kNotFollowed);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, static_cast<long>(options.max_redirects));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(options.timeout_ms));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, std::min(kConnectTimeoutMs, static_cast<long>(options.timeout_ms)));
  curl_easy_setopt(handle, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options.max_bytes));
  // A proxy would hide the address from the check.
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "quarry");
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &transfer);
}

Error transfer_error(CURLcode code, const Transfer& transfer, const std::string& url) {
  const std::string where = shown(url);
  if (!transfer.refused_address.empty() && code == CURLE_COULDNT_CONNECT)
    return bad_request(
        fmt::format("{}: leads to the address {}, which is not public and therefore refused", where, transfer.refused_address));
  switch (code) {
    case CURLE_WRITE_ERROR:
    case CURLE_FILESIZE_EXCEEDED:
      if (transfer.out_of_memory) return {ErrorKind::kUnavailable, fmt::format("{}: no memory to hold it", where)};
      return {ErrorKind::kPayloadTooLarge, fmt::format("{}: is larger than the limit of {} bytes", where, transfer.options.max_bytes)};
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorKind::kTimeout, fmt::format("{}: not read within {} ms", where, transfer.options.timeout_ms)};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return bad_request(fmt::format("{}: leads to a URL that is not http or https", where));
    case CURLE_TOO_MANY_REDIRECTS:
      return bad_request(fmt::format("{}: redirects more than {} times", where, transfer.options.max_redirects));
    default: return storage_error(fmt::format("{}: {}", where, curl_easy_strerror(code)));
  }
}

Error status_error(long status, const std::string& url) {
  const bool retryable = status == 429 || status >= 500;
  return {ErrorKind::kStorage,
          fmt::format("{}: the server answered {}", shown(url), status),
          {{"http_status", status}, {"retryable", retryable}}};
}

class CurlFetcher : public Fetcher {
 public:
  explicit CurlFetcher(FetchOptions options) : options_(std::move(options)) {}

  Result<Fetched> get(const std::string& url) override {
    QUARRY_RETURN_IF_ERROR(check_url(url));
    Easy handle(curl_easy_init());
    if (handle == nullptr) return Error{ErrorKind::kUnavailable, "libcurl: no memory"};
    Transfer transfer{.options = options_};
    configure(handle.get(), url, transfer);
    const Waiting for_the_host;
    const CURLcode code = curl_easy_perform(handle.get());
    if (code != CURLE_OK) return transfer_error(code, transfer, url);
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status >= 300) return status_error(status, url);
    return describe(handle.get(), std::move(transfer));
  }

 private:
  static Fetched describe(CURL* handle, Transfer transfer) {
    Fetched out;
    char *type = nullptr, *final_url = nullptr;
    curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &final_url);
    if (type != nullptr) out.content_type = type;
    Url url(curl_url());
    std::string path;
    if (url != nullptr && final_url != nullptr && curl_url_set(url.get(), CURLUPART_URL, final_url, 0) == CURLUE_OK)
      path = url_part(url.get(), CURLUPART_PATH);
    out.filename = fetched_name(transfer.content_disposition, path);
    out.bytes = std::move(transfer.body);
    return out;
  }

  const FetchOptions options_;
};

}  // namespace

std::unique_ptr<Fetcher> Fetcher::make(FetchOptions options) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  QUARRY_CHECK(initialised == CURLE_OK);
  return std::make_unique<CurlFetcher>(std::move(options));
}

// By libcurl's own parser, so that what is checked is what is used.
Status check_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return bad_request(fmt::format("a URL of {} bytes is over the limit of {}", text.size(), kMaxUrlBytes));
  const bool odd =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '\\'; });
  if (odd) return bad_request("a URL must not hold spaces, control characters or backslashes");
  Url url(curl_url());
  if (url == nullptr) return Error{ErrorKind::kUnavailable, "libcurl: no memory"};
  if (curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
    return bad_request(fmt::format("'{}' is not a URL", shown(text)));
  const std::string scheme = url_part(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") return bad_request(fmt::format("'{}': only http and https URLs are read", shown(text)));
  const size_t authority = text.find("://");
  const bool no_host =
      authority == std::string_view::npos || text.substr(authority + 3).starts_with('/');  // curl would take the path for the host
  if (no_host || url_part(url.get(), CURLUPART_HOST).empty()) return bad_request(fmt::format("'{}' names no host", shown(text)));
  if (!url_part(url.get(), CURLUPART_USER).empty() || !url_part(url.get(), CURLUPART_PASSWORD).empty())
    return bad_request("a URL must not hold a user name or a password");
  return Ok{};
}

}  // namespace quarry::objects
