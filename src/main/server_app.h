// Wiring: the one place that knows every part of the server.
#pragma once

#include <memory>

#include "catalog/catalog.h"
#include "main/config.h"
#include "main/data_folder.h"

namespace quarry {

class ServerApp {
 public:
  // Opens the data folder and everything in it; nothing listens yet.
  static Result<std::unique_ptr<ServerApp>> open(const Config& config);
  virtual ~ServerApp() = default;
  virtual Status start() = 0;
  virtual std::string url() const = 0;
  // The key made on an empty folder, unless the caller brought one: shown once.
  virtual const std::string& new_key() const = 0;
  virtual void stop() = 0;
};

// The catalog that the settings name.
Result<std::unique_ptr<catalog::Catalog>> open_catalog(const Config& config, const DataFolder& folder);

// Makes a new admin key in the catalog of the data folder, which no server may be using: `quarry keys reset`.
Result<std::string> reset_admin_key(const Config& config);
// Adds an organization and returns its admin key: `quarry organizations add`. No server may be using the folder.
Result<std::string> add_organization(const Config& config, const std::string& name);

// Where the program finds its files: beside itself in the build tree (../../..), or ../share/quarry when installed. Empty if absent.
std::filesystem::path find_models_folder(const Config& config);
std::filesystem::path find_decoder(const Config& config);

}  // namespace quarry
