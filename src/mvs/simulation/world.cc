#include "mvs/simulation/world.h"

#include <fstream>
#include <thread>

namespace quarry::mvs::simulation {
namespace {

template <class T>
T pick(test::DocumentSource& source, std::initializer_list<T> values) {
  return values.begin()[source.below(values.size())];
}

void flip_byte(const std::filesystem::path& path, uint64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(std::streamoff(offset));
  const int byte = file.get();
  file.seekp(std::streamoff(offset));
  file.put(char(byte ^ 0x20));
}

}  // namespace

World::World(test::DocumentSource& source) : source_(source), power_(*disk_, source.below(UINT64_MAX)) {
  has_executor_ = source.one_in(4);
  options_ = {.clock = &clock_,
              .cold_cache_bytes = pick<uint64_t>(source, {0, 1 << 20}),
              .sidecar_min_rows = pick<uint64_t>(source, {1, 1, 4096}),
              .commit_window_us = 0,
              .checkpoint_interval = pick<int64_t>(source, {2, 4, 10}),
              .target_file_bytes = pick<uint64_t>(source, {20'000, 40'000, 1 << 20}),
              .file_retention_us = pick<int64_t>(source, {0, 600'000'000}),
              .log_retention_us = pick<int64_t>(source, {0, 600'000'000}),
              .index_min_rows = pick<uint64_t>(source, {10, 4096})};
  if (source.one_in(2)) options_.local_folder = local_.path() / "local";
}

// Half of the servers have a good day.
objects::FaultPlan World::draw_weather() {
  objects::FaultPlan out{.seed = source_.below(UINT64_MAX)};
  if (source_.one_in(2)) return out;
  out.fail_before = pick(source_, {0.0, 0.01, 0.05, 0.2});
  out.fail_after = pick(source_, {0.0, 0.01, 0.05, 0.2});
  out.tear = pick(source_, {0.0, 0.05, 0.2});
  if (has_executor_ && source_.one_in(2)) {
    out.latency_us = 100;
    out.wait = [](int64_t) { std::this_thread::yield(); };  // lets upkeep come between
  }
  return out;
}

Status World::boot() {
  server_.reset();
  auto next = std::make_unique<Server>();
  next->network = objects::make_faulty_store(power_, draw_weather());
  if (has_executor_) next->executor = std::make_unique<Executor>("simulation", 2, 64);
  StoreOptions options = options_;
  options.store = next->network.get();
  options.executor = next->executor.get();
  QUARRY_ASSIGN_OR_RETURN(next->store, VectorStore::open(options));
  QUARRY_RETURN_IF_ERROR(next->store->attach_table(spec));
  server_ = std::move(next);
  return Ok{};
}

Status World::crash() {
  power_.fail_after(0);
  server_.reset();
  QUARRY_RETURN_IF_ERROR(power_.restore_power());
  maul_local_files();
  return boot();
}

// What was not synced is gone, cut or garbage.
void World::maul_local_files() {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(local_.path(), error), end; !error && it != end; it.increment(error)) {
    if (!it->is_regular_file() || it->file_size() == 0) continue;
    switch (source_.below(6)) {
      case 0: std::filesystem::remove(it->path()); break;
      case 1: std::filesystem::resize_file(it->path(), source_.below(it->file_size())); break;
      case 2: flip_byte(it->path(), source_.below(it->file_size())); break;
      default: break;
    }
  }
}

Result<std::unique_ptr<VectorStore>> World::other_server() {
  StoreOptions options = options_;
  options.store = &power_;
  options.local_folder.clear();
  QUARRY_ASSIGN_OR_RETURN(auto out, VectorStore::open(options));
  QUARRY_RETURN_IF_ERROR(out->attach_table(spec));
  return out;
}

Result<json::value> World::on_disk() {
  QUARRY_ASSIGN_OR_RETURN(const auto reader, VectorStore::open({.store = disk_.get(), .clock = &clock_}));
  TableSpec active = spec;
  active.tier = Tier::kActive;
  QUARRY_RETURN_IF_ERROR(reader->attach_table(active));
  return everything().ask(*reader);
}

size_t World::files_below(const std::string& prefix) { return disk_->list(prefix + "/", "", 10'000).value().size(); }

bool World::is_to_blame(const Error& error) {
  return error.message.find("injected fault") != std::string::npos || error.message.find(objects::kPowerIsOff) != std::string::npos;
}

std::string World::describe() const {
  return fmt::format(
      "{}{}cold cache {}, sidecars from {} rows, checkpoints every {}, files of {} bytes, retention {}/{} s, indexes from {} rows",
      has_executor_ ? "upkeep in the background, " : "", options_.local_folder.empty() ? "" : "local files, ", options_.cold_cache_bytes,
      options_.sidecar_min_rows, options_.checkpoint_interval, options_.target_file_bytes, options_.file_retention_us / 1'000'000,
      options_.log_retention_us / 1'000'000, options_.index_min_rows);
}

}  // namespace quarry::mvs::simulation
