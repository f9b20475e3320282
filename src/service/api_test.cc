// Keys, namespaces and who may do what.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "service/test_service_world.h"

namespace quarry::service {
namespace {

using testing::HasSubstr;

class AdmissionTest : public ServiceWorld {
 protected:
  json::object make_key(json::object body) {
    return ok(first_, "create_key_organizations_users_email", {.path = {{"user_email", "admin@localhost"}}, .body = std::move(body)});
  }
  Client client_of(const json::object& key, const std::string& ns = "") {
    return {std::string(string_member(key, "key")), first_.organization_id, ns};
  }
};

TEST_F(AdmissionTest, BootstrapHappensOnce) {
  EXPECT_FALSE(api_->bootstrap("another-key-of-some-length").value().has_value());
  EXPECT_TRUE(first_.key.starts_with("qk_"));
}

TEST_F(AdmissionTest, KeysAreStoredHashed) {
  auto rows = catalog_->list({.kind = std::string(catalog::kind::kApiKey), .scope = {first_.organization_id, ""}}).value();
  ASSERT_EQ(rows.items.size(), 1u);
  EXPECT_EQ(json::serialize(rows.items[0].body).find(first_.key), std::string::npos);
  EXPECT_EQ(string_member(rows.items[0].body, "key_hash"), sha256_hex(first_.key));
}

TEST_F(AdmissionTest, RefusesWhatIsNoKey) {
  Admission admission{Admission::Scope::kOrganization, kRead};
  for (std::string authorization : {"", "Bearer", "Bearer ", "Basic abc", "Bearer qk_wrong", "bearerqk_wrong"})
    EXPECT_EQ(api_->admit(admission, authorization, "").error().kind, ErrorKind::kUnauthorized) << authorization;
  EXPECT_TRUE(api_->admit(admission, "bearer  " + first_.key + " ", "").ok());
  EXPECT_TRUE(api_->admit({Admission::Scope::kPublic, kRead}, "", "").ok());
}

TEST_F(AdmissionTest, NamespaceByIdByNameOrTheOnlyOne) {
  EXPECT_EQ(context_of(first_).error().kind, ErrorKind::kBadRequest);
  Client one = with_namespace(first_, "one");
  EXPECT_EQ(context_of(first_).value().namespace_id, one.ns);
  Client by_name = first_;
  by_name.ns = "one";
  EXPECT_EQ(context_of(by_name).value().namespace_id, one.ns);
  with_namespace(first_, "two");
  EXPECT_EQ(context_of(first_).error().kind, ErrorKind::kBadRequest);
  by_name.ns = "three";
  EXPECT_EQ(context_of(by_name).error().kind, ErrorKind::kNotFound);
}

TEST_F(AdmissionTest, PermissionsBound) {
  Client reader = client_of(make_key({{"name", "reader"}, {"permissions", {"read"}}}));
  EXPECT_TRUE(context_of(reader, Admission::Scope::kOrganization, kRead).ok());
  for (Permission p : {kWrite, kDelete, kAdmin})
    EXPECT_EQ(context_of(reader, Admission::Scope::kOrganization, p).error().kind, ErrorKind::kForbidden);
}

TEST_F(AdmissionTest, RevokedKeyStopsAtOnceAndItsNameIsFree) {
  Client gone = client_of(make_key({{"name", "temporary"}}));
  EXPECT_TRUE(context_of(gone, Admission::Scope::kOrganization).ok());  // cached now
  ok(first_, "delete_key_organizations_users_email_name", {.path = {{"user_email", "admin@localhost"}, {"key_name", "temporary"}}});
  EXPECT_EQ(context_of(gone, Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
  make_key({{"name", "temporary"}});
  auto listed = ok(first_, "list_keys_organizations_users_email",
                   {.path = {{"user_email", "admin@localhost"}}, .query = {{"include_revoked", true}}});
  EXPECT_EQ(listed["list"].as_array().size(), 3u);
}

TEST_F(AdmissionTest, RotationReplacesTheText) {
  json::object before = make_key({{"name", "service"}});
  json::object after =
      ok(first_, "rotate_key_organizations_users_email_name", {.path = {{"user_email", "admin@localhost"}, {"key_name", "service"}}});
  EXPECT_EQ(before["key_id"], after["key_id"]);
  EXPECT_EQ(context_of(client_of(before), Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
  EXPECT_TRUE(context_of(client_of(after), Admission::Scope::kOrganization).ok());
}

TEST_F(AdmissionTest, ExpiryIsCheckedOnEveryCall) {
  Client brief = client_of(make_key({{"name", "brief"}, {"expires_at", format_timestamp(clock_.now_us() + 1'000'000)}}));
  EXPECT_TRUE(context_of(brief, Admission::Scope::kOrganization).ok());
  clock_.advance_us(1'000'000);
  EXPECT_EQ(context_of(brief, Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
  auto past = call(first_, "create_key_organizations_users_email",
                   {.path = {{"user_email", "admin@localhost"}}, .body = {{"name", "late"}, {"expires_at", "2001-01-01T00:00:00Z"}}});
  EXPECT_EQ(past.error().kind, ErrorKind::kValidation);
}

TEST_F(AdmissionTest, KeyLimitedToANamespaceStaysInIt) {
  Client one = with_namespace(first_, "one"), two = with_namespace(first_, "two");
  json::object scope{{"resource_type", "namespace"}, {"resource_id", "one"}, {"operations", {"read_data", "write_data"}}};
  json::object key = make_key({{"name", "scoped"}, {"scopes", json::array{scope}}});
  Client scoped = client_of(key);
  EXPECT_EQ(context_of(scoped).value().namespace_id, one.ns);
  EXPECT_TRUE(context_of(client_of(key, one.ns), Admission::Scope::kNamespace, kWrite).ok());
  EXPECT_EQ(context_of(client_of(key, one.ns), Admission::Scope::kNamespace, kDelete).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(context_of(client_of(key, two.ns)).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(error_of(scoped, "get_namespace", {.path = {{"namespace_identifier", two.ns}}}), ErrorKind::kNotFound);
  EXPECT_EQ(ok(scoped, "list_namespaces_get")["results"].as_array().size(), 1u);
  EXPECT_EQ(error_of(scoped, "create_namespace", {.body = {{"namespace_name", "three"}}}), ErrorKind::kForbidden);
  EXPECT_EQ(context_of(scoped, Admission::Scope::kOrganization, kAdmin).error().kind, ErrorKind::kForbidden);
}

TEST_F(AdmissionTest, ScopesOnOneNamespaceAddUp) {
  Client one = with_namespace(first_, "one");
  json::array scopes;
  for (std::string operation : {"read_data", "write_data"})
    scopes.push_back(json::object{{"resource_type", "namespace"}, {"resource_id", "one"}, {"operations", {operation}}});
  json::object key = make_key({{"name", "scoped"}, {"scopes", scopes}});
  Client inside = client_of(key, one.ns), outside = client_of(key);
  for (Permission p : {kRead, kWrite}) EXPECT_TRUE(context_of(inside, Admission::Scope::kNamespace, p).ok());
  EXPECT_EQ(context_of(inside, Admission::Scope::kNamespace, kDelete).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(context_of(outside).value().namespace_id, one.ns);  // its only one
  Call at_one{.path = {{"namespace_identifier", "one"}}};
  ok(outside, "get_namespace", at_one);
  at_one.body = {{"description", "changed"}};
  ok(outside, "patch_namespace", at_one);
}

TEST_F(AdmissionTest, AnAdminKeyLimitedToANamespaceWorksInIt) {
  Client one = with_namespace(first_, "one");
  json::array scopes{json::object{{"resource_type", "namespace"}, {"resource_id", "one"}}};
  Client scoped = client_of(make_key({{"name", "scoped"}, {"permissions", {"admin"}}, {"scopes", scopes}}));
  for (Permission p : {kRead, kWrite, kDelete}) EXPECT_TRUE(context_of(scoped, Admission::Scope::kOrganization, p).ok());
  EXPECT_EQ(context_of(scoped, Admission::Scope::kOrganization, kAdmin).error().kind, ErrorKind::kForbidden);
  ok(scoped, "get_namespace", {.path = {{"namespace_identifier", "one"}}});
  Call at_admin{.path = {{"user_email", "admin@localhost"}}};
  for (std::string operation :
       {"get_organization", "list_users_organizations", "get_user_organizations_email", "list_keys_organizations_users_email"})
    EXPECT_EQ(error_of(scoped, operation, at_admin), ErrorKind::kForbidden) << operation;
}

TEST_F(AdmissionTest, AKeysOwnRateLimitHolds) {
  Client slow = client_of(make_key({{"name", "slow"}, {"rate_limit_override", 6}}));
  auto ask = [&] { return context_of(slow, Admission::Scope::kOrganization); };
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ask().ok()) << i;
  auto refused = ask();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kTooManyRequests);
  EXPECT_EQ(refused.error().details.at("retry_after_seconds"), 10);
  clock_.advance_us(10'000'000);  // past the time that keys are cached for
  EXPECT_TRUE(ask().ok());
  EXPECT_EQ(ask().error().kind, ErrorKind::kTooManyRequests);
  EXPECT_TRUE(context_of(first_, Admission::Scope::kOrganization).ok());
}

TEST_F(AdmissionTest, EveryKeyOfAUserIsListedAndCanBeRevoked) {
  Status made = catalog_->write([&](catalog::Session& session) -> Status {
    auto user = session.find(catalog::kind::kUser, {first_.organization_id, ""}, "admin@localhost");
    QUARRY_RETURN_IF_ERROR(user);
    for (int i = 0; i < 1'000; ++i) {
      auto key = store_key(session, {first_.organization_id, user->id, user->name}, new_key_text(),
                           {{"name", fmt::format("key{}", i)}, {"permissions", {"read"}}}, clock_.now_us() + i);
      QUARRY_RETURN_IF_ERROR(key);
      if (i < 500) QUARRY_RETURN_IF_ERROR(revoke_key(session, std::move(*key), "admin@localhost", clock_.now_us()));
    }
    return Ok{};
  });
  ASSERT_TRUE(made.ok()) << made.error().message;
  Call call{.path = {{"user_email", "admin@localhost"}, {"key_name", "key999"}}};
  EXPECT_EQ(ok(first_, "list_keys_organizations_users_email", call)["list"].as_array().size(), 501u);
  ok(first_, "delete_key_organizations_users_email_name", call);
  EXPECT_EQ(error_of(first_, "delete_key_organizations_users_email_name", call), ErrorKind::kNotFound);
  call.query = {{"include_revoked", true}};
  EXPECT_EQ(ok(first_, "list_keys_organizations_users_email", call)["list"].as_array().size(), 1'001u);
}

TEST_F(AdmissionTest, LimitsThatNothingEnforcesAreRefused) {
  json::object origins{{"name", "a"}, {"allowed_origins", {"https://example.org"}}};
  json::object collection{{"name", "b"}, {"scopes", json::array{json::object{{"resource_type", "collection"}, {"resource_id", "col_x"}}}}};
  json::object principal{{"name", "c"}, {"principal_id", "someone"}};
  for (const auto& body : {origins, collection, principal})
    EXPECT_EQ(error_of(first_, "create_key_organizations_users_email", {.path = {{"user_email", "admin@localhost"}}, .body = body}),
              ErrorKind::kNotImplemented);
}

TEST_F(AdmissionTest, ResetMakesANewAdminKey) {
  std::string key = api_->reset_admin_key().value();
  EXPECT_EQ(context_of(first_, Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
  EXPECT_TRUE(context_of({key, "", ""}, Admission::Scope::kOrganization, kAdmin).ok());
}

TEST_F(AdmissionTest, SuspendingAUserSuspendsItsKeys) {
  ok(first_, "create_user_organizations", {.body = {{"email", "Ann@Example.org"}, {"user_name", "Ann"}, {"role", "member"}}});
  json::object key =
      ok(first_, "create_key_organizations_users_email", {.path = {{"user_email", "ann@example.org"}}, .body = {{"name", "hers"}}});
  Client ann = client_of(key);
  EXPECT_TRUE(context_of(ann, Admission::Scope::kOrganization, kDelete).ok());
  EXPECT_EQ(context_of(ann, Admission::Scope::kOrganization, kAdmin).error().kind, ErrorKind::kForbidden);
  ok(first_, "update_user_organizations_email", {.path = {{"user_email", "ann@example.org"}}, .body = {{"status", "suspended"}}});
  EXPECT_EQ(context_of(ann, Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
}

TEST_F(AdmissionTest, AMemberCannotHoldAnAdminKey) {
  ok(first_, "create_user_organizations", {.body = {{"email", "bob@example.org"}, {"user_name", "Bob"}}});
  EXPECT_EQ(error_of(first_, "create_key_organizations_users_email",
                     {.path = {{"user_email", "bob@example.org"}}, .body = {{"name", "k"}, {"permissions", {"admin"}}}}),
            ErrorKind::kForbidden);
}

TEST_F(AdmissionTest, TheLastAdministratorStays) {
  EXPECT_EQ(error_of(first_, "delete_user_organizations_email", {.path = {{"user_email", "admin@localhost"}}}), ErrorKind::kBadRequest);
  EXPECT_EQ(
      error_of(first_, "update_user_organizations_email", {.path = {{"user_email", "admin@localhost"}}, .body = {{"role", "viewer"}}}),
      ErrorKind::kBadRequest);
}

TEST_F(AdmissionTest, UsersAreUniqueAndChecked) {
  ok(first_, "create_user_organizations", {.body = {{"email", "ann@example.org"}, {"user_name", "Ann"}}});
  EXPECT_EQ(error_of(first_, "create_user_organizations", {.body = {{"email", "ANN@example.org"}, {"user_name", "Ann"}}}),
            ErrorKind::kAlreadyExists);
  for (std::string email : {"", "ann", "@x", "x@", "a@b@c", "a b@c", "a/b@c"})
    EXPECT_EQ(error_of(first_, "create_user_organizations", {.body = {{"email", email}, {"user_name", "Ann"}}}), ErrorKind::kValidation)
        << email;
  EXPECT_EQ(ok(first_, "list_users_organizations", {.query = {{"role", "admin"}}})["total"], 1);
}

TEST_F(AdmissionTest, UsersAndKeysChangeAndGo) {
  ok(first_, "create_user_organizations", {.body = {{"email", "ann@example.org"}, {"user_name", "Ann"}}});
  Call ann{.path = {{"user_email", "ann@example.org"}, {"key_name", "hers"}}};
  Call key = ann;
  key.body = {{"name", "hers"}};
  Client client = client_of(ok(first_, "create_key_organizations_users_email", key));
  key.body = {{"permissions", {"read"}}, {"description", "less"}};
  EXPECT_EQ(ok(first_, "update_key_organizations_users_email_name", key)["permissions"], (json::array{"read"}));
  EXPECT_EQ(context_of(client, Admission::Scope::kOrganization, kWrite).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(ok(first_, "get_user_organizations_email", ann)["role"], "member");
  ok(first_, "delete_user_organizations_email", ann);
  EXPECT_EQ(error_of(first_, "get_user_organizations_email", ann), ErrorKind::kNotFound);
  EXPECT_EQ(context_of(client, Admission::Scope::kOrganization).error().kind, ErrorKind::kUnauthorized);
}

TEST_F(AdmissionTest, OnlyAdministratorsSeeTheKeysOfOthers) {
  Client reader = client_of(make_key({{"name", "reader"}, {"permissions", {"read"}}}));
  ok(first_, "create_user_organizations", {.body = {{"email", "ann@example.org"}, {"user_name", "Ann"}}});
  EXPECT_EQ(error_of(reader, "list_keys_organizations_users_email", {.path = {{"user_email", "ann@example.org"}}}), ErrorKind::kForbidden);
  ok(reader, "list_keys_organizations_users_email", {.path = {{"user_email", "admin@localhost"}}});
}

TEST_F(AdmissionTest, OrganizationKeepsWhatIsSet) {
  EXPECT_EQ(ok(first_, "update_organization", {.body = {{"organization_name", "Library"}, {"metadata", {{"a", 1}}}}})["organization_name"],
            "Library");
  EXPECT_EQ(string_member(ok(first_, "get_organization"), "organization_id"), first_.organization_id);
  EXPECT_EQ(error_of(first_, "update_organization", {.body = {{"default_llm_credentials", {{"x", "y"}}}}}), ErrorKind::kNotImplemented);
}

TEST_F(AdmissionTest, InternalIdShowsOnlyInKeys) {
  json::object key = make_key({{"name", "shown"}});
  EXPECT_EQ(string_member(key, "internal_id").size(), 24u);
  EXPECT_FALSE(ok(first_, "get_organization").contains("internal_id"));
  EXPECT_THAT(json::serialize(ok(first_, "list_users_organizations")), testing::Not(HasSubstr("internal_id")));
}

TEST_F(AdmissionTest, HealthNeedsNoKey) {
  for (std::string operation : {"healthcheck_health", "liveness_health", "celery_beat_health"})
    EXPECT_EQ(ok(first_, operation)["status"], "OK");
  json::object deep = ok(first_, "healthcheck_deep_health");
  EXPECT_EQ(deep["data"].as_object()["metadata"], true);
  EXPECT_EQ(deep["status"], "OK") << json::serialize(deep);
}

}  // namespace
}  // namespace quarry::service
