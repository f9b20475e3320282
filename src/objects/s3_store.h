// Objects in a bucket of an S3-compatible store.
#pragma once

#include <map>

#include "objects/object_store.h"

namespace quarry::objects {

struct S3Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // of temporary credentials; empty for lasting ones
  std::string origin;         // where they were found; for messages
};

enum class S3Addressing {
  kAuto,     // kVirtual at amazonaws.com if the bucket's name has no dot, else kPath
  kPath,     // https://host/bucket/key
  kVirtual,  // https://bucket.host/key
};

struct S3Options {
  std::string bucket;
  std::string prefix;    // before every key, without slashes at its ends; may be empty
  std::string endpoint;  // "https://s3.eu-central-1.amazonaws.com", "http://127.0.0.1:9000"
  std::string region = "us-east-1";
  S3Addressing addressing = S3Addressing::kAuto;
  S3Credentials credentials;
  std::string ca_file;                     // PEM; empty: the system's authorities
  int64_t timeout_ms = 30'000;             // for connecting, and for how long nothing may move; whole seconds, rounded up
  size_t connections = 64;                 // requests at the same time, at most; more callers wait
  uint64_t multipart_bytes = 64ull << 20;  // `put` sends what is larger in parts; put_if_absent never does
  uint64_t part_bytes = 16ull << 20;       // at least 5 MiB, S3's own limit; grows where 10,000 parts would not do
  uint64_t max_object_bytes = 4ull << 30;  // `get` refuses what is larger
  const Clock* clock = &system_clock();    // signs requests; the store refuses those more than 15 minutes off
};

// Checks the form of `options`; no request is made. The store itself repeats nothing but single parts: put make_retrying_store around it.
// Refusals that will not pass (credentials, an absent bucket) are kStorage with details.reason, which that wrapper does not repeat.
Result<std::unique_ptr<ObjectStore>> open_s3_store(S3Options options);

// "s3://bucket/prefix" into bucket and prefix.
struct S3Location {
  std::string bucket, prefix;
};
Result<S3Location> parse_s3_url(std::string_view url);
Result<S3Addressing> parse_s3_addressing(std::string_view text);  // "auto", "path" or "virtual"

// What the settings say; empty: not said.
struct S3Settings {
  std::string url;
  std::string endpoint, region, addressing;
  std::string access_key_id, secret_access_key, session_token;
  std::string profile, credentials_file;
};
// The AWS_* variables and HOME. `read_text` reads a file, so that tests need none.
struct S3Environment {
  std::map<std::string, std::string> variables;
  std::function<Result<std::string>(const std::filesystem::path&)> read_text;
};
S3Environment process_s3_environment();

// Settings first, then AWS_* variables, then a profile of the shared credentials file (which comes before the variables if the settings
// name it). Limits and times are left as S3Options has them.
Result<S3Options> resolve_s3_options(const S3Settings& settings, const S3Environment& environment);

}  // namespace quarry::objects
