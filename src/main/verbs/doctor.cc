#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstdio>

#include "extract/extract.h"
#include "main/client.h"
#include "main/data_folder.h"
#include "main/object_storage.h"
#include "main/server_app.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLowDiskBytes = 1ull << 30;
constexpr uint64_t kLowMemoryBytes = 512ull << 20;

enum class Health { kOk, kWarning, kMissing };

struct Finding {
  Health health = Health::kOk;
  std::string what, found, remedy;
};

std::string gigabytes(uint64_t bytes) { return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / static_cast<double>(1ull << 30)); }

// Without these instructions ONNX Runtime adds 8-bit products in 16 bits, which can saturate.
bool multiplies_bytes_exactly() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") || __builtin_cpu_supports("avxvnni");
#else
  return true;
#endif
}

Finding check_model(const Config& config) {
  fs::path folder = find_models_folder(config);
  const std::string remedy = "'./run setup' builds the default text model; --models names another folder";
  if (folder.empty()) return {Health::kMissing, "models", "no models folder found", remedy};
  auto registry = extract::ModelRegistry::open({folder, config.text("model.precision"), 1});
  if (!registry.ok()) return {Health::kMissing, "models", registry.error().message, remedy};
  auto embedder = (*registry)->text_embedder(extract::kDefaultTextOutput);
  if (!embedder.ok()) return {Health::kMissing, "text model", embedder.error().message, remedy};
  auto vector = (*embedder)->embed("a test sentence");
  if (!vector.ok()) return {Health::kMissing, "text model", vector.error().message, remedy};
  const std::string& precision = config.text("model.precision");
  std::string found =
      fmt::format("{} ({} dimensions, {}), in {}", extract::kDefaultTextOutput, vector->values.size(), precision, folder.string());
  if (precision == "int8" && !multiplies_bytes_exactly())
    return {Health::kWarning, "text model", found + "; this processor has no VNNI, int8 vectors may be less exact",
            "QUARRY_MODEL_PRECISION=fp32 gives exact ones; it takes a new collection, vectors of the two do not mix"};
  return {Health::kOk, "text model", std::move(found), ""};
}

Finding check_decoder(const Config& config) {
  fs::path program = find_decoder(config);
  if (program.empty() || access(program.c_str(), X_OK) != 0)
    return {Health::kMissing, "decoder", "quarry-decode not found",
            "PDFs cannot be read: './run build' builds it; --decoder names its path"};
  return {Health::kOk, "decoder", program.string(), ""};
}

Finding check_disk(const Config& config) {
  fs::path place = fs::absolute(config.path("data"));
  std::error_code ec;
  while (!fs::exists(place, ec) && place.has_parent_path() && place != place.root_path()) place = place.parent_path();
  struct statvfs info {};
  if (statvfs(place.c_str(), &info) != 0) return {Health::kWarning, "disk", "cannot be asked", ""};
  uint64_t available = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  Health health = available < kLowDiskBytes ? Health::kWarning : Health::kOk;
  return {health, "disk", fmt::format("{} free for {}", gigabytes(available), config.text("data")),
          health == Health::kOk ? "" : "free some space, or choose another folder with --data"};
}

Finding check_memory() {
  struct sysinfo info {};
  sysinfo(&info);
  uint64_t available = (static_cast<uint64_t>(info.freeram) + info.bufferram) * info.mem_unit;
  uint64_t total = static_cast<uint64_t>(info.totalram) * info.mem_unit;
  Health health = total < kLowMemoryBytes ? Health::kWarning : Health::kOk;
  return {health, "memory",
          fmt::format("{} in all, {} unused, {} cores", gigabytes(total), gigabytes(available), sysconf(_SC_NPROCESSORS_ONLN)), ""};
}

Finding check_data(const Config& config) {
  fs::path root = config.path("data");
  std::error_code ec;
  if (!fs::exists(root, ec)) return {Health::kOk, "data folder", root.string() + " (not there yet; 'quarry serve' makes it)", ""};
  auto format = read_format(root);
  if (!format.ok()) return {Health::kMissing, "data folder", format.error().message, "restore FORMAT from backups/ inside the folder"};
  if (*format == 0)
    return {Health::kWarning, "data folder", root.string() + " has no FORMAT file",
            "it is not a Quarry data folder: choose another with --data"};
  if (*format > kDataFormat)
    return {Health::kMissing, "data folder", fmt::format("{} has format {}", root.string(), *format), "use a newer Quarry"};
  return {Health::kOk, "data folder", fmt::format("{}, format {}", root.string(), *format), ""};
}

Finding check_objects(const Config& config) {
  auto found = check_object_storage(config);
  if (found.ok()) return {Health::kOk, "objects", *found, ""};
  return {Health::kMissing, "objects", found.error().message, "docs/object_stores.md tells the settings, objects.url and those beside it"};
}

Finding check_server(const Config& config) {
  auto credentials = find_credentials(config);
  if (!credentials.ok()) return {Health::kWarning, "credentials", "no API key", credentials.error().message};
  Client client(*credentials);
  auto health = client.call("GET", "/v1/health");
  if (!health.ok()) return {Health::kWarning, "server", health.error().message, ""};
  return {Health::kOk, "server", "answers at " + client.url(), ""};
}

}  // namespace

int doctor(const Config& config) {
  std::printf("quarry %s\n", QUARRY_VERSION);
  int missing = 0;
  for (const Finding& f : {check_model(config), check_decoder(config), check_data(config), check_objects(config), check_disk(config),
                           check_memory(), check_server(config)}) {
    const char* mark = f.health == Health::kOk ? "ok     " : f.health == Health::kWarning ? "warning" : "MISSING";
    std::printf("%s  %-12s %s\n", mark, f.what.c_str(), f.found.c_str());
    if (!f.remedy.empty()) std::printf("                      -> %s\n", f.remedy.c_str());
    missing += f.health == Health::kMissing;
  }
  return missing == 0 ? 0 : 1;
}

}  // namespace quarry::verbs
