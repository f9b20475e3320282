// For tests: an Api whose handlers are set one by one, and which knows a few keys.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "service/service.h"

namespace quarry::http {

// "Bearer good-key" may everything, "Bearer read-key" may read; namespace "ns_known" exists. Handlers are set before the server starts.
class FakeApi final : public service::Api {
 public:
  void bind(const std::string& operation_id, service::Handler handler) { handlers_[operation_id] = std::move(handler); }

  void bind_gate(const std::string& operation_id, service::Gate gate) { gates_[operation_id] = std::move(gate); }

  const service::Handler* find(std::string_view operation_id) const override {
    auto it = handlers_.find(operation_id);
    return it == handlers_.end() ? nullptr : &it->second;
  }
  const service::Gate* find_gate(std::string_view operation_id) const override {
    auto it = gates_.find(operation_id);
    return it == gates_.end() ? nullptr : &it->second;
  }
  std::vector<std::string> operations() const override {
    std::vector<std::string> ids;
    for (auto& [id, handler] : handlers_) ids.push_back(id);
    return ids;
  }
  Result<RequestContext> admit(const service::Admission& admission, std::string_view authorization, std::string_view x_namespace) override {
    RequestContext context;
    if (authorization == "Bearer good-key")
      context.permissions = kAdmin;
    else if (authorization == "Bearer read-key")
      context.permissions = kRead;
    else
      return Error{ErrorKind::kUnauthorized, "no or unknown key"};
    if (!context.may(admission.permission)) return Error{ErrorKind::kForbidden, "the key may not do this"};
    if (admission.scope == service::Admission::Scope::kNamespace) {
      if (!x_namespace.empty() && x_namespace != "ns_known") return not_found("unknown namespace");
      context.namespace_id = "ns_known";
    }
    context.organization_id = "org_test";
    return context;
  }
  Result<std::optional<std::string>> bootstrap(std::string_view) override { return std::optional<std::string>(); }
  Result<std::string> reset_admin_key() override { return std::string("key"); }
  Result<std::string> add_organization(std::string_view) override { return std::string("key"); }

 private:
  std::map<std::string, service::Handler, std::less<>> handlers_;
  std::map<std::string, service::Gate, std::less<>> gates_;
};

}  // namespace quarry::http
