#include "service/test_snapshot_import_world.h"

namespace quarry::service {
namespace {

using SnapshotForgeryTest = SnapshotImportWorld;

struct Attack {
  const char* name;
  const char* expected;  // in the error
  std::function<void(Forgery&)> spoil;
};

std::string first_path(Forgery& forged, std::string_view beginning) {
  for (const auto& [path, bytes] : forged.files())
    if (path.starts_with(beginning)) return path;
  ADD_FAILURE() << beginning;
  return {};
}

std::vector<Attack> attacks() {
  const auto rename_file = [](Forgery& f, const std::string& to) {
    f.change_lines("files", [&](Forgery::Lines& lines) { lines[0]["path"] = to; });
  };
  const auto set = [](const char* member, json::value to) { return [=](json::object& row) { row[member] = to; }; };
  const auto set_key = [](std::string key) {
    return [=](json::object& row) {
      row["body"].as_object()["blobs"].as_array()[0].as_object()["storage"].as_object()["key"] = key;
    };
  };
  return {
      {"a key for the API", "none of the kinds", [](Forgery& f) { f.change_row("bucket", [](auto& row) { row["kind"] = "api_key"; }); }},
      {"a retired table", "none of the kinds",
       [](Forgery& f) {
         f.change_lines("catalog", [](Forgery::Lines& lines) {
           lines.push_back({{"kind", "retired_table"}, {"id", "col_x"}, {"body", {{"prefix", "other/ns/col_x"}}}});
         });
       }},
      {"two namespaces", "beside another",
       [](Forgery& f) { f.change_lines("catalog", [](Forgery::Lines& lines) { lines.push_back(json::object(lines[0])); }); }},
      {"no namespace", "no namespace",
       [](Forgery& f) { f.change_lines("catalog", [](Forgery::Lines& lines) { lines.erase(lines.begin()); }); }},
      {"an id that climbs", "whose id is none", [=](Forgery& f) { f.change_row("bucket", set("id", "../../other")); }},
      {"an id that is another's", "whose 'collection_id' is another", [=](Forgery& f) { f.change_row("collection", set("id", "col_y")); }},
      {"a parent that is absent", "under a parent", [=](Forgery& f) { f.change_row("object", set("parent_id", "bkt_absent")); }},
      {"a collection that cannot be read", "collection",
       [](Forgery& f) { f.change_row("collection", [](auto& row) { row["body"].as_object()["lifecycle_state"] = "molten"; }); }},
      {"bytes of another tenant", "outside of its namespace",
       [=](Forgery& f) { f.change_row("object", set_key("0123456789abcdef01234567/ns_a/blobs/bkt_a/obj_a/blob_1")); }},
      {"bytes of a table", "outside of its namespace",
       [=](Forgery& f) {
         const json::object m = f.manifest();
         f.change_row("object", set_key(fmt::format("{}/{}/col_a/part.parquet", std::string_view(m.at("internal_id").as_string()),
                                                    std::string_view(m.at("namespace_id").as_string()))));
       }},
      {"bytes that climb", "outside of its namespace",
       [=](Forgery& f) {
         const json::object m = f.manifest();
         f.change_row("object", set_key(fmt::format("{}/{}/blobs/../../x", std::string_view(m.at("internal_id").as_string()),
                                                    std::string_view(m.at("namespace_id").as_string()))));
       }},
      {"a file that climbs", "without path", [=](Forgery& f) { rename_file(f, "tables/../../../x"); }},
      {"a file of no table", "none of its collections", [=](Forgery& f) { rename_file(f, "tables/col_absent/x.parquet"); }},
      {"a file beside", "none of its collections", [=](Forgery& f) { rename_file(f, "manifest.json"); }},
      {"a table of no collection", "none of its collections",
       [](Forgery& f) {
         f.change_manifest([](json::object& m) { m["tables"].as_array()[0].as_object()["collection_id"] = "col_absent"; });
       }},
      {"a file twice", "twice",
       [](Forgery& f) {
         f.change_lines("files", [](Forgery::Lines& lines) { lines.push_back(json::object(lines[0])); });
         f.change_manifest([](json::object& m) { m["files"].as_object()["count"] = m["files"].as_object()["count"].as_int64() + 1; });
       }},
      {"a file that nobody counted", "not as many",
       [](Forgery& f) { f.change_lines("files", [](Forgery::Lines& lines) { lines.pop_back(); }); }},
      {"rows that nobody counted", "not as many",
       [](Forgery& f) { f.change_manifest([](json::object& m) { m["resources"].as_object()["bucket"] = 7; }); }},
      {"a truncated file", "bytes, not", [](Forgery& f) { f.files()[first_path(f, "tables/")].pop_back(); }},
      {"a changed file", "SHA-256", [](Forgery& f) { f.files()[first_path(f, "blobs/")][7] ^= 1; }},
      {"a missing file", "is missing", [](Forgery& f) { f.files().erase(first_path(f, "blobs/")); }},
      {"a changed list", "SHA-256", [](Forgery& f) { f.files()[first_path(f, "catalog/")][7] ^= 1; }},
      {"a giant list", "bytes, not", [](Forgery& f) { f.files()[first_path(f, "files/")] += std::string(1 << 20, ' '); }},
  };
}

TEST_F(SnapshotForgeryTest, NoneGetsIn) {
  const Forgery source = taken();
  int number = 0;
  for (const Attack& attack : attacks()) {
    Forgery forged = source;
    attack.spoil(forged);
    const std::string name = fmt::format("forged-{}", ++number);
    forged.put(*vault_, folder(name));
    const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder(name)));
    EXPECT_EQ(end_of_task(other_, begun), "FAILED") << attack.name;
    EXPECT_NE(error_in(begun).find(attack.expected), std::string::npos) << attack.name << ": " << error_in(begun);
    EXPECT_TRUE(imported_keys().empty()) << attack.name;
    EXPECT_EQ(error_of(outside(), "restore_snapshot_namespaces", of_import(begun, {{"confirm_in_place", true}})), ErrorKind::kBadRequest);
  }
}

// The server's own ids stay unique: deleting the forgery, or asking for it, never touches what another organization has under the same.
TEST_F(SnapshotForgeryTest, IdsOfAnotherOrganizationStayTheirs) {
  const Client theirs = with_namespace(second_organization(), "theirs");
  const std::string bucket = insert_bucket(theirs, "texts", {{"content", {{"type", "text"}}}});
  const Call of_bucket{.path = {{"bucket_identifier", bucket}}, .body = object_body("kept")};
  const std::string object = object_id_of(ok(theirs, "create_object_buckets", of_bucket));
  Forgery forged = taken();
  forged.rename(bucket_, bucket);
  forged.put(*vault_, folder("same"));
  const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder("same")));
  ASSERT_EQ(end_of_task(other_, begun), "COMPLETED");
  EXPECT_EQ(end_of_task(other_, ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"confirm_in_place", true}}))), "FAILED");
  Client copy = client_;
  const json::object restored = ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"target_namespace_name", "copy"}}));
  ASSERT_EQ(end_of_task(other_, restored), "COMPLETED");
  copy.ns = string_member(restored, "target_namespace_id");
  EXPECT_EQ(error_of(copy, "get_bucket", {.path = {{"bucket_identifier", bucket}}}), ErrorKind::kNotFound);
  ok(outside(), "delete_namespace", {.path = {{"namespace_identifier", copy.ns}}});
  ok(theirs, "get_object_buckets", {.path = {{"bucket_identifier", bucket}, {"object_identifier", object}}});
}

// An id that is none of the server's form is not drawn anew.
TEST_F(SnapshotForgeryTest, AnIdOfItsOwnIsThereOnce) {
  Forgery forged = taken();
  forged.rename(bucket_, "bkt_by-hand");
  forged.rename(internal_id_, "0123456789abcdef01234567");
  Client second = second_organization();
  const Client theirs = with_namespace(second, "theirs");
  const std::string second_id = context_of(theirs).value().internal_id;
  const auto end_of_restore = [&](Client of, const Client& into, const std::string& prefix) {
    of.ns.clear();
    forged.put(*vault_, prefix);
    Call call = importing("vault", prefix);
    call.path["namespace_identifier"] = into.ns;
    const json::object begun = ok(of, "create_snapshot_namespaces", std::move(call));
    EXPECT_EQ(end_of_task(into, begun), "COMPLETED");
    return end_of_task(into, ok(of, "restore_snapshot_namespaces", of_import(into, begun, {{"target_namespace_name", "by-hand"}})));
  };
  EXPECT_EQ(end_of_restore(outside(), other_, folder("hand")), "COMPLETED");
  EXPECT_EQ(end_of_restore(second, theirs, second_id + "/hand"), "FAILED");
}

// Numbers that are none of their kind are as good as absent ones.
TEST_F(SnapshotForgeryTest, NumbersThatCannotBeBreakNothing) {
  const Forgery source = taken();
  for (const json::value& number : json::array{-1, 1.5, 1e300, UINT64_MAX}) {
    Forgery forged = source;
    forged.change_row("object", [&](json::object& row) {
      json::object& body = row["body"].as_object();
      body["blobs"].as_array()[0].as_object()["details"].as_object()["size_bytes"] = number;
      body["_internal"].as_object()["content_at"] = number;
    });
    const std::string name = "number-" + json::serialize(number);
    forged.put(*vault_, folder(name));
    const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder(name)));
    ASSERT_EQ(end_of_task(other_, begun), "COMPLETED") << name << ": " << error_in(begun);
    const json::object restored = ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"target_namespace_name", name}}));
    EXPECT_EQ(end_of_task(other_, restored), "COMPLETED") << name;
  }
}

// ---- rows that are JSON and nothing more ------------------------------------------------------------------------------

json::value strange(Rng& rng) {
  static const json::array kStrange{nullptr, true, -1, 1e300, "", "../x", std::string(70'000, 'y'), json::array(), json::object(),
                                    json::array{json::array{}, 1}, json::object{{"$ref", "#"}, {"type", "object"}, {"properties", 7}}};
  return kStrange[rng.below(kStrange.size())];
}

void spoil(json::value& value, Rng& rng) {
  json::array* const array = value.if_array();
  json::object* const object = value.if_object();
  const size_t inside = array ? array->size() : object ? object->size() : 0;
  if (inside == 0 || rng.below(5) == 0) {
    value = strange(rng);
  } else if (array) {
    spoil((*array)[rng.below(inside)], rng);
  } else {
    const auto member = object->begin() + std::ptrdiff_t(rng.below(inside));
    rng.below(6) == 0 ? void(object->erase(member)) : spoil(member->value(), rng);
  }
}

class SpoiltRowsTest : public SnapshotImportWorld {
 protected:
  void SetUp() override {
    SnapshotImportWorld::SetUp();
    bucket_collection("chapters", bucket_);
    ok(client_, "create_retriever",
       {.body = {{"retriever_name", "near"}, {"collection_identifiers", json::array{collection_}}, {"stages", nearest_stages(5)}}});
  }

  std::vector<std::string> ids(const Client& of, std::string_view kind) {
    std::vector<std::string> out;
    catalog::ListQuery query;
    query.kind = kind;
    query.scope = {of.organization_id, of.ns};
    const auto page = catalog_->list(query);
    EXPECT_TRUE(page.ok());
    if (page.ok())
      for (const catalog::Resource& row : page->items) out.push_back(row.id);
    return out;
  }

  // Reads all there is, and processes it. Refusals are as good as replies.
  void use(const Client& of) {
    for (const char* operation :
         {"list_buckets", "list_collections", "list_retrievers__retrievers", "list_lifecycle_events", "plan_lifecycle"})
      (void)call(of, operation, {.body = json::object{}});
    (void)call(outside(), "get_namespace_stats", {.path = {{"namespace_identifier", of.ns}}});
    for (const std::string& bucket : ids(of, catalog::kind::kBucket)) {
      const auto at = [&](json::value body = {}) { return Call{.path = {{"bucket_identifier", bucket}}, .body = std::move(body)}; };
      (void)call(of, "get_bucket", at());
      (void)call(of, "list_objects_buckets", at(json::object{}));
      for (const std::string& object : ids(of, catalog::kind::kObject))
        (void)call(of, "get_object_buckets", {.path = {{"bucket_identifier", bucket}, {"object_identifier", object}}});
      const auto batch = call(of, "create_batch_buckets_batches", at(json::object{{"object_ids", json::value_from(ids(of, "object"))}}));
      if (!batch.ok()) continue;
      const std::string id(string_member(batch->body.as_object(), "batch_id"));
      Call submission{.path = {{"bucket_identifier", bucket}, {"batch_id", id}}, .body = json::object{}};
      const auto submitted = call(of, "submit_batch_buckets_batches", std::move(submission));
      if (submitted.ok()) end_of_task(of, submitted->body.as_object());
    }
    for (const std::string& collection : ids(of, catalog::kind::kCollection))
      for (const char* operation : {"get_collection", "list_documents", "get_lifecycle", "sync_collection_schema"})
        (void)call(of, operation, {.path = {{"collection_identifier", collection}, {"collection_id", collection}}, .body = json::object{}});
    for (const std::string& retriever : ids(of, catalog::kind::kRetriever))
      for (const char* operation : {"get_retriever", "execute_retriever"})
        (void)call(of, operation, {.path = {{"retriever_id", retriever}}, .body = json::object{}});
  }
};

TEST_F(SpoiltRowsTest, BreakNothing) {
  const Forgery source = taken();
  const SeedRange range = seeds_from_environment("QUARRY_FORGERY", 40);
  int used = 0;
  for (uint64_t seed = range.first; seed < range.first + range.count && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("QUARRY_FORGERY_SEED={}", seed));
    Rng rng(seed);
    Forgery forged = source;
    forged.change_lines("catalog", [&](Forgery::Lines& lines) { spoil(lines[rng.below(lines.size())]["body"], rng); });
    const std::string name = fmt::format("spoilt-{}", seed);
    forged.put(*vault_, folder(name));
    const json::object begun = ok(outside(), "create_snapshot_namespaces", importing("vault", folder(name)));
    if (end_of_task(other_, begun) != "COMPLETED") continue;
    const json::object restored = ok(outside(), "restore_snapshot_namespaces", of_import(begun, {{"target_namespace_name", name}}));
    if (end_of_task(other_, restored) != "COMPLETED") continue;
    ++used;
    Client copy = client_;
    copy.ns = string_member(restored, "target_namespace_id");
    use(copy);
    Call removal{.path = {{"namespace_identifier", copy.ns}}, .query = {{"force", true}}};
    ok(outside(), "delete_namespace", std::move(removal));
  }
  if (range.count >= 40) EXPECT_GT(used, int(range.count / 4)) << "most were refused, so little was tested";
}

}  // namespace
}  // namespace quarry::service
