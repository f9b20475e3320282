#include "objects/s3/transport.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/ascii.h"
#include "base/executor.h"

namespace quarry::objects::s3 {
namespace {

constexpr long kMaxTransferMs = 15 * 60 * 1'000;  // of one request, however well it moves
constexpr long kStallBytesPerSecond = 16;
constexpr size_t kMaxHeaders = 200;
constexpr long kBufferBytes = 256 << 10;  // of what a store sends at a stretch: fewer calls for large objects

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

// What curl's callbacks work on.
struct Exchange {
  const HttpRequest& request;
  HttpReply reply;
  size_t sent = 0;
  bool too_large = false;
};

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  std::string& body = exchange.reply.body;
  exchange.too_large = size > exchange.request.max_reply_bytes - std::min<uint64_t>(body.size(), exchange.request.max_reply_bytes);
  if (exchange.too_large) return 0;
  try {
    body.append(data, size);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  return size;
}

// Each reply of several (100 Continue, a request sent again) begins with its status line.
size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& reply = static_cast<Exchange*>(user)->reply;
  std::string_view line(data, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.remove_suffix(1);
  try {
    if (line.starts_with("HTTP/")) {
      reply.headers.clear();
      reply.body.clear();
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || reply.headers.size() >= kMaxHeaders) return size;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    reply.headers.emplace_back(ascii_lower(line.substr(0, colon)), value);
    if (reply.headers.back().first != "content-length") return size;
    uint64_t announced = std::strtoull(reply.headers.back().second.c_str(), nullptr, 10);
    const bool has_body = static_cast<Exchange*>(user)->request.method != "HEAD";
    if (has_body) reply.body.reserve(std::min(announced, static_cast<Exchange*>(user)->request.max_reply_bytes));
  } catch (const std::bad_alloc&) {
    return 0;
  } catch (const std::length_error&) {
    return 0;
  }
  return size;
}

size_t on_read(char* buffer, size_t unit, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const size_t n = std::min(unit * count, exchange.request.body.size() - exchange.sent);
  std::memcpy(buffer, exchange.request.body.data() + exchange.sent, n);
  exchange.sent += n;
  return n;
}

// Called when libcurl sends the body once more over a fresh connection.
int on_seek(void* user, curl_off_t offset, int origin) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (origin != SEEK_SET || offset < 0 || static_cast<uint64_t>(offset) > exchange.request.body.size()) return CURL_SEEKFUNC_FAIL;
  exchange.sent = static_cast<size_t>(offset);
  exchange.reply.sent_twice = true;
  return CURL_SEEKFUNC_OK;
}

HeaderList header_list(const Pairs& headers) {
  HeaderList out;
  auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(out.get(), line.c_str());
    if (longer == nullptr) return;
    (void)out.release();
    out.reset(longer);
  };
  for (const auto& [name, value] : headers) add(name + ": " + value);
  for (const char* unwanted : {"Expect:", "Accept:"}) add(unwanted);  // curl would add them
  return out;
}

void set_method(CURL* handle, const HttpRequest& request, Exchange& exchange) {
  curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (request.method != "PUT" && request.method != "POST") return;
  curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(handle, CURLOPT_READFUNCTION, on_read);
  curl_easy_setopt(handle, CURLOPT_READDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, on_seek);
  curl_easy_setopt(handle, CURLOPT_SEEKDATA, &exchange);
}

void configure(CURL* handle, const HttpRequest& request, Exchange& exchange, const Transport::Options& options) {
  curl_easy_reset(handle);  // keeps the connection
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);  // what was signed is what is sent
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);  // a signature holds for one host
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.timeout_ms));
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);
  curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>((options.timeout_ms + 999) / 1'000));
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, std::max(kMaxTransferMs, static_cast<long>(options.timeout_ms)));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "quarry");
  if (!options.ca_file.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options.ca_file.c_str());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
  set_method(handle, request, exchange);
}

bool is_lasting(CURLcode code) {
  return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_URL_MALFORMAT ||
         code == CURLE_UNSUPPORTED_PROTOCOL;
}

Error transfer_error(CURLcode code, const Exchange& exchange, const char* detail) {
  const std::string where = fmt::format("{} {}", exchange.request.method, exchange.request.url.substr(0, exchange.request.url.find('?')));
  if (exchange.too_large)
    return {ErrorKind::kStorage,
            fmt::format("{}: the reply is larger than {} bytes", where, exchange.request.max_reply_bytes),
            {{"reason", "too_large"}}};
  Error error = storage_error(fmt::format("{}: {}", where, detail[0] != '\0' ? detail : curl_easy_strerror(code)));
  if (is_lasting(code)) error.details["reason"] = "connection";
  return error;
}

}  // namespace

std::string_view HttpReply::header(std::string_view name) const {
  for (const auto& [known, value] : headers)
    if (known == name) return value;
  return "";
}

// One handle of the set, for one request.
class Transport::Lease {
 public:
  explicit Lease(Transport& owner) : owner_(owner) {
    std::unique_lock lock(owner_.mutex_);
    // Bounded: every request in flight ends within kMaxTransferMs.
    owner_.returned_.wait(lock, [&] { return owner_.lent_ < owner_.options_.connections; });
    ++owner_.lent_;
    if (owner_.idle_.empty()) return;
    handle_ = owner_.idle_.back();
    owner_.idle_.pop_back();
  }
  ~Lease() {
    {
      std::lock_guard lock(owner_.mutex_);
      --owner_.lent_;
      if (handle_ != nullptr) owner_.idle_.push_back(handle_);  // room was reserved
    }
    owner_.returned_.notify_one();
  }
  CURL* handle() {
    if (handle_ == nullptr) handle_ = curl_easy_init();
    return handle_;
  }

 private:
  Transport& owner_;
  CURL* handle_ = nullptr;
};

Transport::Transport(Options options) : options_(std::move(options)) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  QUARRY_CHECK(initialised == CURLE_OK);
  idle_.reserve(options_.connections);
}

Transport::~Transport() {
  for (void* handle : idle_) curl_easy_cleanup(handle);
}

Result<HttpReply> Transport::send(const HttpRequest& request) {
  const Waiting for_the_store;
  Lease lease(*this);
  CURL* handle = lease.handle();
  if (handle == nullptr) return Error{ErrorKind::kUnavailable, "libcurl: no memory"};
  Exchange exchange{.request = request};
  char detail[CURL_ERROR_SIZE] = "";
  configure(handle, request, exchange, options_);
  const HeaderList headers = header_list(request.headers);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, detail);
  const CURLcode code = curl_easy_perform(handle);
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &exchange.reply.status);
  curl_easy_reset(handle);  // nothing of this frame stays in the handle
  if (code != CURLE_OK) return transfer_error(code, exchange, detail);
  return std::move(exchange.reply);
}

}  // namespace quarry::objects::s3
