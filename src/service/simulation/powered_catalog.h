// The catalog of a machine whose power goes in the middle of things. For tests only.
#pragma once

#include "catalog/catalog.h"
#include "objects/powered_store.h"

namespace quarry::service::simulation {

// Forwards to `inner` while `power` is on. The write transaction that is on its way when it goes is committed or not, and not acknowledged.
class PoweredCatalog final : public catalog::Catalog {
 public:
  PoweredCatalog(catalog::Catalog& inner, objects::PoweredStore& power) : inner_(inner), power_(power) {}

  Status write(const std::function<Status(catalog::Session&)>& body) override {
    return power_.commit([&] { return inner_.write(body); });
  }
  Status read(const std::function<Status(catalog::Session&)>& body) override {
    if (power_.is_off()) return storage_error(std::string(objects::kPowerIsOff));
    return inner_.read(body);
  }
  std::string describe() const override { return "powered+" + inner_.describe(); }
  std::optional<uint64_t> version(std::string_view kind) const override { return inner_.version(kind); }

 private:
  catalog::Catalog& inner_;
  objects::PoweredStore& power_;
};

}  // namespace quarry::service::simulation
