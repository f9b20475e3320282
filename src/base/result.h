// Errors as values. A fallible call returns Result<T>; exceptions of third parties are caught where they are wrapped.
#pragma once

#include <boost/json.hpp>
#include <cassert>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace quarry {

namespace json = boost::json;

// One kind per row of the contract's error table; mapped to an HTTP status and a type name in one place (http/envelope.cc).
enum class ErrorKind {
  kBadRequest,
  kUnauthorized,
  kForbidden,
  kNotFound,
  kMethodNotAllowed,
  kAlreadyExists,
  kConflict,
  kPayloadTooLarge,
  kValidation,
  kTooManyRequests,
  kInternal,
  kNotImplemented,
  kUnavailable,           // the server cannot now: shutting down, back-pressure
  kInferenceUnavailable,  // a model or its key is missing
  kExtraction,
  kProcessing,
  kStorage,  // an object store or disk refused
  kTimeout,
  kCorruption,  // stored bytes are not what was written; the message names file and offset
  kCanceled,
  kRequestTimeout,       // the client took too long to send its request
  kRangeNotSatisfiable,  // details.size_bytes says how much there is
};

std::string_view to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;
  json::object details;  // goes to the client as error.details

  Error() = default;
  Error(ErrorKind k, std::string m) : kind(k), message(std::move(m)) {}
  Error(ErrorKind k, std::string m, json::object d) : kind(k), message(std::move(m)), details(std::move(d)) {}

  // The same error, its message prefixed by where it happened: "reading table t: disk full".
  Error with_context(std::string_view context) &&;
};

// Success without a value.
struct Ok {};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return checked(); }
  const T& value() const& { return const_cast<Result*>(this)->checked(); }
  T value() && { return std::move(checked()); }
  T& operator*() & { return checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
  T operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->checked(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error error() && { return std::get<1>(std::move(state_)); }

  T value_or(T fallback) const& { return ok() ? value() : std::move(fallback); }

 private:
  T& checked() {
    if (!ok()) fail_access();
    return *std::get_if<0>(&state_);
  }
  [[noreturn]] void fail_access() const;

  std::variant<T, Error> state_;
};

using Status = Result<Ok>;

namespace internal {
[[noreturn]] void abort_on_error_access(const Error& error);
}

template <typename T>
void Result<T>::fail_access() const {
  internal::abort_on_error_access(std::get<1>(state_));
}

inline Error bad_request(std::string message, json::object details = {}) {
  return {ErrorKind::kBadRequest, std::move(message), std::move(details)};
}
inline Error not_found(std::string message) { return {ErrorKind::kNotFound, std::move(message)}; }
inline Error already_exists(std::string message) { return {ErrorKind::kAlreadyExists, std::move(message)}; }
inline Error internal_error(std::string message) { return {ErrorKind::kInternal, std::move(message)}; }
inline Error storage_error(std::string message) { return {ErrorKind::kStorage, std::move(message)}; }
inline Error corruption(std::string message) { return {ErrorKind::kCorruption, std::move(message)}; }

// The first bytes of `text`, at most `limit`, cut between characters: for quoting input in messages.
std::string_view clip(std::string_view text, size_t limit);

// 422 with details.validation_errors = [{type, location, message}]; `location` is a path such as {"body", "stages", 0}.
Error validation_error(std::string type, json::array location, std::string message);

// An assertion that stays on in release: for what only a bug can break. Input never reaches one.
#define QUARRY_CHECK(condition)                                                         \
  do {                                                                                  \
    if (!(condition)) ::quarry::internal::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)

namespace internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define QUARRY_CONCAT_INNER(a, b) a##b
#define QUARRY_CONCAT(a, b) QUARRY_CONCAT_INNER(a, b)

// Return the error of `expr` (a Status or Result) from the enclosing function, if it has one.
#define QUARRY_RETURN_IF_ERROR(expr) QUARRY_RETURN_IF_ERROR_IMPL(QUARRY_CONCAT(quarry_status_, __LINE__), expr)
#define QUARRY_RETURN_IF_ERROR_IMPL(status, expr)       \
  do {                                                  \
    auto&& status = (expr);                             \
    if (!status.ok()) return std::move(status).error(); \
  } while (false)

// QUARRY_ASSIGN_OR_RETURN(auto x, f()): x is f()'s value, or its error is returned.
#define QUARRY_ASSIGN_OR_RETURN(lhs, expr) QUARRY_ASSIGN_OR_RETURN_IMPL(QUARRY_CONCAT(quarry_result_, __LINE__), lhs, expr)
#define QUARRY_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                                 \
  if (!result.ok()) return std::move(result).error();   \
  lhs = std::move(result).value()

}  // namespace quarry
