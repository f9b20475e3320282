#include "main/server_app.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "catalog/sqlite_catalog.h"
#include "http/http.h"
#include "main/data_folder.h"
#include "main/object_storage.h"

namespace quarry {
namespace {

namespace fs = std::filesystem;

struct Address {
  std::string host;
  uint16_t port = 0;
};

Result<Address> parse_address(const std::string& listen) {
  size_t colon = listen.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    auto [end, ec] = std::from_chars(listen.data() + colon + 1, listen.data() + listen.size(), port);
    if (ec != std::errc() || end != listen.data() + listen.size()) port = -1;
  }
  if (port < 0 || port > 65535 || colon == 0) return bad_request(fmt::format("listen: '{}' is not HOST:PORT", listen));
  return Address{listen.substr(0, colon), static_cast<uint16_t>(port)};
}

constexpr int kUpkeepNiceness = 5;
constexpr int64_t kMaxDays = 36'500;

class App final : public ServerApp {
 public:
  App(const Config& config, DataFolder folder)
      : config_(config), folder_(std::move(folder)), compute_("compute", std::max(1u, std::thread::hardware_concurrency()), 1024),
        index_builder_("upkeep", std::max(1u, std::thread::hardware_concurrency()), 1024, kUpkeepNiceness) {}
  ~App() override { stop(); }

  Status open() {
    QUARRY_ASSIGN_OR_RETURN(address_, parse_address(config_.text("listen")));
    QUARRY_RETURN_IF_ERROR(open_stores());
    QUARRY_RETURN_IF_ERROR(open_models());
    make_engine();
    make_api();
    return bootstrap();
  }

  Status start() override {
    QUARRY_ASSIGN_OR_RETURN(auto contract, http::Contract::load_embedded());
    QUARRY_ASSIGN_OR_RETURN(server_, http::Server::make(http_options(), *api_, std::move(contract)));
    QUARRY_RETURN_IF_ERROR(server_->start());
    if (config_.boolean("model.preload"))
      compute_.submit([this] {
        auto embedder = models_->text_embedder(extract::kDefaultTextOutput);
        if (!embedder.ok()) log_warn("the default text model is not ready", {{"reason", embedder.error().message}});
      });
    return engine_->start();
  }

  std::string url() const override { return fmt::format("http://{}:{}", address_.host, server_->port()); }
  const std::string& new_key() const override { return new_key_; }

  void stop() override {
    if (stopped_) return;
    stopped_ = true;
    if (server_) server_->stop(config_.integer("stop.grace_ms"));
    if (engine_) engine_->stop();
    compute_.stop();
    if (vectors_) vectors_->close();  // or what is queued would build graphs to their end
    index_builder_.stop();
  }

 private:
  Status open_stores() {
    QUARRY_ASSIGN_OR_RETURN(catalog_, open_catalog(config_, folder_));
    QUARRY_ASSIGN_OR_RETURN(objects_, ObjectStorage::open(config_, folder_));
    mvs::StoreOptions options;
    options.store = &objects_->store();
    options.executor = &compute_;
    options.memory_budget_bytes = config_.bytes("mvs.memory_budget");
    options.cold_cache_bytes = config_.bytes("mvs.cold_cache");
    options.cold_timeout_us = config_.integer("mvs.cold_timeout_ms") * 1000;
    options.commit_window_us = commit_window_us(config_);
    options.follow_interval_us = follow_interval_us(config_);
    options.file_retention_us = options.log_retention_us = config_.integer("mvs.retention_s") * 1'000'000;
    options.recall_probe_interval_us = config_.integer("mvs.recall_probe_interval_ms") * 1000;
    options.local_folder = folder_.local_tables();
    options.background = &index_builder_;
    QUARRY_ASSIGN_OR_RETURN(vectors_, mvs::VectorStore::open(options));
    return Ok{};
  }

  Status open_models() {
    extract::ModelRegistry::Options models;
    models.directory = find_models_folder(config_);
    models.precision = config_.text("model.precision");
    models.sessions = extraction_threads() + 1;  // so that a query does not wait for a batch
    QUARRY_ASSIGN_OR_RETURN(models_, extract::ModelRegistry::open(models));
    extract::Decoder::Options decoder;
    decoder.program = find_decoder(config_);
    decoder.processes = static_cast<size_t>(config_.integer("decode.processes"));
    decoder.timeout_ms = config_.integer("decode.timeout_ms");
    decoder.memory_bytes = config_.bytes("decode.memory_bytes");
    decoder_ = extract::Decoder::make(decoder);
    objects::FetchOptions fetch;
    fetch.allow_private_networks = config_.boolean("urls.allow_private");
    fetch.max_bytes = config_.bytes("urls.max_bytes");
    fetch.timeout_ms = config_.integer("urls.timeout_ms");
    fetcher_ = objects::Fetcher::make(fetch);
    return Ok{};
  }

  size_t extraction_threads() const {
    auto configured = static_cast<size_t>(config_.integer("pipeline.threads"));
    return configured > 0 ? configured : std::max(1u, std::thread::hardware_concurrency());
  }

  int64_t days_us(std::string_view setting) const { return std::min(config_.integer(setting), kMaxDays) * pipeline::kDayUs; }

  void make_engine() {
    pipeline::Options options;
    options.catalog = catalog_.get();
    options.vectors = vectors_.get();
    options.store = &objects_->store();
    options.fetcher = fetcher_.get();
    options.import_places = objects_->import_places();
    options.extract = {.models = models_.get(), .decoder = decoder_.get()};
    options.worker_id = fmt::format("worker-{}-{}", getpid(), secure_token(8));
    options.exclusive = config_.text("catalog.url").empty();
    options.threads = extraction_threads();
    options.lease_us = config_.integer("pipeline.lease_ms") * 1000;
    options.commit_documents = static_cast<size_t>(config_.integer("pipeline.commit_documents"));
    options.tiering_interval_us = config_.integer("tiering.interval_ms") * 1000;
    options.daily_snapshot_keep_us = days_us("snapshots.daily_days");
    options.snapshot_interval_us = config_.integer("snapshots.interval_ms") * 1000;
    options.query_flush_us = config_.integer("tiering.query_flush_ms") * 1000;
    engine_ = pipeline::Engine::make(options);
  }

  void make_api() {
    service::Dependencies deps;
    deps.catalog = catalog_.get();
    deps.store = &objects_->store();
    deps.vectors = vectors_.get();
    deps.models = models_.get();
    deps.decoder = decoder_.get();
    deps.fetcher = fetcher_.get();
    deps.engine = engine_.get();
    deps.import_places = objects_->import_places();
    deps.pre_delete_keep_us = days_us("snapshots.pre_delete_days");
    deps.executor = &compute_;
    deps.background = &index_builder_;
    deps.limits.max_upload_bytes = config_.bytes("http.max_upload_bytes");
    deps.public_url = [this] { return config_.text("public_url").empty() ? url() : config_.text("public_url"); };
    deps.signing_secret = folder_.signing_secret();
    deps.version = QUARRY_VERSION;
    api_ = service::Api::make(deps);
  }

  Status bootstrap() {
    QUARRY_ASSIGN_OR_RETURN(auto key, api_->bootstrap(config_.text("api_key")));
    if (key && *key != config_.text("api_key")) new_key_ = *key;
    return Ok{};
  }

  http::Options http_options() const {
    http::Options options;
    options.host = address_.host;
    options.port = address_.port;
    options.io_threads = static_cast<size_t>(config_.integer("http.io_threads"));
    options.handler_threads = static_cast<size_t>(config_.integer("http.handler_threads"));
    options.max_connections = static_cast<size_t>(config_.integer("http.max_connections"));
    options.max_body_bytes = config_.bytes("http.max_body_bytes");
    options.max_upload_bytes = config_.bytes("http.max_upload_bytes");
    options.request_timeout_ms = config_.integer("http.request_timeout_ms");
    return options;
  }

  const Config config_;
  DataFolder folder_;
  Executor compute_;
  Executor index_builder_;
  Address address_;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<ObjectStorage> objects_;
  std::unique_ptr<mvs::VectorStore> vectors_;
  std::unique_ptr<extract::ModelRegistry> models_;
  std::unique_ptr<extract::Decoder> decoder_;
  std::unique_ptr<objects::Fetcher> fetcher_;
  std::unique_ptr<pipeline::Engine> engine_;
  std::unique_ptr<service::Api> api_;
  std::unique_ptr<http::Server> server_;
  std::string new_key_;
  bool stopped_ = false;
};

fs::path program_folder() {
  std::error_code ec;
  return fs::read_symlink("/proc/self/exe", ec).parent_path();
}

fs::path first_existing(std::initializer_list<fs::path> candidates) {
  std::error_code ec;
  for (const auto& c : candidates)
    if (fs::exists(c, ec)) return c;
  return {};
}

}  // namespace

Result<std::unique_ptr<catalog::Catalog>> open_catalog(const Config& config, const DataFolder& folder) {
  const std::string url = config.text("catalog.url");
  if (url.empty()) return catalog::open_sqlite_catalog(folder.catalog_file(), system_clock(), {.exclusive = true});
  return catalog::open_postgres_catalog(url, system_clock());
}

fs::path find_models_folder(const Config& config) {
  if (!config.text("models").empty()) return config.path("models");
  fs::path bin = program_folder();
  return first_existing({bin / "../share/quarry/models", bin / "../../../.deps/models"});
}

fs::path find_decoder(const Config& config) {
  if (!config.text("decoder").empty()) return config.path("decoder");
  return first_existing({program_folder() / "quarry-decode"});
}

namespace {

// Runs `use` with the catalog alone, the one that the server would open.
Result<std::string> with_catalog(const Config& config, const std::function<Result<std::string>(service::Api&)>& use) {
  QUARRY_ASSIGN_OR_RETURN(DataFolder folder, DataFolder::open(config.path("data")));
  QUARRY_ASSIGN_OR_RETURN(auto catalog, open_catalog(config, folder));
  service::Dependencies deps;
  deps.catalog = catalog.get();
  return use(*service::Api::make(deps));
}

}  // namespace

Result<std::string> reset_admin_key(const Config& config) {
  return with_catalog(config, [](service::Api& api) { return api.reset_admin_key(); });
}

Result<std::string> add_organization(const Config& config, const std::string& name) {
  return with_catalog(config, [&](service::Api& api) { return api.add_organization(name); });
}

Result<std::unique_ptr<ServerApp>> ServerApp::open(const Config& config) {
  QUARRY_ASSIGN_OR_RETURN(DataFolder folder, DataFolder::open(config.path("data")));
  auto app = std::make_unique<App>(config, std::move(folder));
  QUARRY_RETURN_IF_ERROR(app->open());
  return std::unique_ptr<ServerApp>(std::move(app));
}

}  // namespace quarry
