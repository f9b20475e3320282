#include "main/object_storage.h"

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/log.h"
#include "model/ids.h"
#include "objects/caching_store.h"
#include "objects/local_reader.h"
#include "objects/s3_store.h"
#include "pipeline/snapshots.h"

namespace quarry {
namespace {

constexpr int64_t kRemoteCommitWindowUs = 100'000;
constexpr int64_t kRemoteFollowIntervalUs = 30'000'000;
constexpr std::string_view kProbeFolder = ".quarry-probe/", kS3Scheme = "s3://";

objects::S3Settings s3_settings(const Config& config, std::string url) {
  objects::S3Settings out;
  out.url = std::move(url);
  out.endpoint = config.text("objects.endpoint");
  out.region = config.text("objects.region");
  out.addressing = config.text("objects.addressing");
  out.access_key_id = config.text("objects.access_key_id");
  out.secret_access_key = config.text("objects.secret_access_key");
  out.session_token = config.text("objects.session_token");
  out.profile = config.text("objects.profile");
  out.credentials_file = config.text("objects.credentials_file");
  return out;
}

Result<objects::S3Options> s3_options(const Config& config, std::string url) {
  const auto settings = s3_settings(config, std::move(url));
  QUARRY_ASSIGN_OR_RETURN(auto options, objects::resolve_s3_options(settings, objects::process_s3_environment()));
  options.ca_file = config.text("objects.ca_file");
  options.timeout_ms = config.integer("objects.timeout_ms");
  options.connections = static_cast<size_t>(config.integer("objects.connections"));
  options.multipart_bytes = config.bytes("objects.multipart_bytes");
  return options;
}

int attempts(const Config& config) { return static_cast<int>(std::clamp<int64_t>(config.integer("objects.attempts"), 1, 20)); }

// Whether objects lie elsewhere and `key` is not set.
bool is_default_for_remote(const Config& config, std::string_view key) {
  return !config.text("objects.url").empty() && config.origin(key) == "default";
}

// Where the store is, as messages say it.
std::string place_of(const objects::S3Options& options, const objects::ObjectStore& store) {
  return fmt::format("{} at {}", store.describe(), options.endpoint);
}

Status reach(const objects::S3Options& options, objects::ObjectStore& store) {
  auto listed = store.list("", "", 1);
  if (!listed.ok()) return std::move(listed).error().with_context(fmt::format("object store {}", place_of(options, store)));
  return objects::probe_store(store, kProbeFolder);
}

}  // namespace

ObjectStorage::~ObjectStorage() {
  import_layers_.push_back(std::move(layers_));
  for (Layers& layers : import_layers_)
    while (!layers.empty()) layers.pop_back();
}

Result<std::unique_ptr<ObjectStorage>> ObjectStorage::open(const Config& config, const DataFolder& folder) {
  std::unique_ptr<ObjectStorage> out(new ObjectStorage());
  QUARRY_RETURN_IF_ERROR(out->open_import_places(config));
  QUARRY_RETURN_IF_ERROR(out->open_store(config, folder));
  return out;
}

Status ObjectStorage::open_store(const Config& config, const DataFolder& folder) {
  if (config.text("objects.url").empty()) {
    QUARRY_ASSIGN_OR_RETURN(layers_.emplace_back(), objects::open_local_store(folder.objects()));
    return Ok{};
  }
  QUARRY_ASSIGN_OR_RETURN(objects::S3Options options, s3_options(config, config.text("objects.url")));
  QUARRY_ASSIGN_OR_RETURN(layers_.emplace_back(), objects::open_s3_store(options));
  layers_.push_back(objects::make_retrying_store(store(), attempts(config), 50'000));
  QUARRY_RETURN_IF_ERROR(reach(options, store()));
  log_info("objects lie in an S3 store", {{"store", place_of(options, store())}, {"credentials", options.credentials.origin}});
  if (config.bytes("objects.cache_bytes") == 0) return Ok{};
  objects::CacheOptions cache;
  cache.folder = folder.object_cache();
  cache.max_bytes = config.bytes("objects.cache_bytes");
  cache.is_immutable = is_immutable_table_file;
  cache.identity = place_of(options, store());
  QUARRY_ASSIGN_OR_RETURN(auto caching, objects::CachingStore::open(store(), std::move(cache)));
  layers_.push_back(std::move(caching));
  return Ok{};
}

Status ObjectStorage::open_import_places(const Config& config) {
  QUARRY_ASSIGN_OR_RETURN(const auto places, parse_import_places(config.text("snapshots.import_from")));
  for (const auto& [name, place] : places) {
    Layers& layers = import_layers_.emplace_back();
    if (place.starts_with(kS3Scheme)) {
      QUARRY_ASSIGN_OR_RETURN(objects::S3Options options, s3_options(config, place));
      QUARRY_ASSIGN_OR_RETURN(layers.emplace_back(), objects::open_s3_store(std::move(options)));
      layers.push_back(objects::make_retrying_store(*layers.back(), attempts(config), 50'000));
    } else {
      QUARRY_ASSIGN_OR_RETURN(layers.emplace_back(), objects::open_local_reader(place));
    }
    import_places_[name] = layers.back().get();
  }
  return Ok{};
}

Result<std::map<std::string, std::string>> parse_import_places(std::string_view text) {
  std::map<std::string, std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string_view entry = trimmed(text.substr(at, end - at), " ");
    at = end + 1;
    const size_t equals = std::min(entry.find('='), entry.size());
    const std::string_view name = entry.substr(0, equals), place = entry.substr(std::min(equals + 1, entry.size()));
    const bool is_place = place.starts_with(kS3Scheme) || place.starts_with('/');
    if (!is_safe_name(name, 63) || !is_place)
      return bad_request(fmt::format("snapshots.import_from: '{}' is neither NAME=/FOLDER nor NAME=s3://BUCKET/PREFIX", entry));
    if (name == pipeline::kOwnStore)
      return bad_request(fmt::format("snapshots.import_from: '{}' is the name of the server's own store", name));
    if (!out.emplace(name, place).second) return bad_request(fmt::format("snapshots.import_from: two places are called '{}'", name));
  }
  return out;
}

Result<std::string> check_object_storage(const Config& config) {
  if (config.text("objects.url").empty()) return std::string("in the data folder");
  QUARRY_ASSIGN_OR_RETURN(objects::S3Options options, s3_options(config, config.text("objects.url")));
  QUARRY_ASSIGN_OR_RETURN(auto plain, objects::open_s3_store(options));
  auto store = objects::make_retrying_store(*plain, attempts(config), 50'000);
  const int64_t began = system_clock().steady_us();
  QUARRY_RETURN_IF_ERROR(reach(options, *store));
  const int64_t probed = system_clock().steady_us();
  QUARRY_RETURN_IF_ERROR(store->list("", "", 1));
  return fmt::format("{}, credentials from {}: put-if-absent is atomic (checked in {} ms), a list takes {} ms", place_of(options, *store),
                     options.credentials.origin, (probed - began) / 1'000, (system_clock().steady_us() - probed) / 1'000);
}

int64_t commit_window_us(const Config& config) {
  return is_default_for_remote(config, "mvs.commit_window_us") ? kRemoteCommitWindowUs : config.integer("mvs.commit_window_us");
}

int64_t follow_interval_us(const Config& config) {
  return is_default_for_remote(config, "mvs.follow_interval_ms") ? kRemoteFollowIntervalUs
                                                                 : config.integer("mvs.follow_interval_ms") * 1'000;
}

bool is_immutable_table_file(std::string_view key) {
  if (key.find("/_delta_log/") != std::string_view::npos) return false;
  const std::string_view name = key.substr(key.rfind('/') + 1);
  return name.ends_with(".parquet") || (name.starts_with("deletion_vector_") && name.ends_with(".bin"));
}

}  // namespace quarry
