// Ids, feature URIs and task states.
#include <gtest/gtest.h>

#include <set>

#include "model/feature_uri.h"
#include "model/ids.h"
#include "model/task.h"

namespace quarry {
namespace {

TEST(Ids, AreDistinctAndShaped) {
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(new_id("bkt"));
  EXPECT_EQ(seen.size(), 1'000u);
  EXPECT_EQ(seen.begin()->size(), 20u);
  EXPECT_EQ(seen.begin()->substr(0, 4), "bkt_");
  EXPECT_EQ(new_internal_id().size(), 24u);
}

TEST(DerivedDocumentIds, DependOnEveryPartAndNeverChange) {
  EXPECT_EQ(derive_document_id("col_a", "obj_b", 0), derive_document_id("col_a", "obj_b", 0));
  std::set<std::string> ids{derive_document_id("col_a", "obj_b", 0), derive_document_id("col_a", "obj_b", 1),
                            derive_document_id("col_ao", "bj_b", 0), derive_document_id("col_a", "obj_c", 0)};
  EXPECT_EQ(ids.size(), 4u);
  for (const auto& id : ids) EXPECT_EQ(id.size(), 30u);
  // Stored in tables: a change of the derivation would double every document. Base32 of the first 16 bytes of SHA-256 over "col_a", 0,
  // "obj_b", 0, "0".
  EXPECT_EQ(derive_document_id("col_a", "obj_b", 0), "doc_oek5xxeuxwqmfdgs4lc4fuq4ju");
}

TEST(SafeNames, RefuseTricks) {
  for (const char* good : {"a", "my bucket", "Łódź", "a.b", "-x", "a..b"}) EXPECT_TRUE(is_safe_name(good)) << good;
  for (std::string bad : {"", ".", "..", ".x", "a/b", "a\\b", "a\nb", "\x7f", "a\xff", "\xed\xa0\x80"})
    EXPECT_FALSE(is_safe_name(bad)) << bad;
  EXPECT_FALSE(is_safe_name(std::string("a\0b", 3)));
  EXPECT_TRUE(is_safe_name(std::string(255, 'a')));
  EXPECT_FALSE(is_safe_name(std::string(256, 'a')));
}

TEST(FeatureUris, ParseAndPrint) {
  auto uri = parse_feature_uri("mixpeek://text_extractor@v1/all_minilm_l6_v2_v1");
  ASSERT_TRUE(uri.ok());
  EXPECT_EQ(*uri, (FeatureUri{"text_extractor", "v1", "all_minilm_l6_v2_v1"}));
  EXPECT_EQ(uri->to_string(), "mixpeek://text_extractor@v1/all_minilm_l6_v2_v1");
  EXPECT_EQ(parse_feature_uri("mixpeek://a@1.0.0/b")->version, "v1");
}

TEST(FeatureUris, RefuseOtherForms) {
  for (const char* bad :
       {"", "mixpeek://", "http://a@v1/b", "mixpeek://a/b", "mixpeek://a@v1", "mixpeek://a@v1/", "mixpeek://@v1/b", "mixpeek://a@/b",
        "mixpeek://a/b@v1", "mixpeek://a@v1/b/c", "mixpeek://a@v1/b c", "mixpeek://a@v1/../x", "mixpeek://a@v1/b@c"}) {
    auto uri = parse_feature_uri(bad);
    ASSERT_FALSE(uri.ok()) << bad;
    EXPECT_EQ(uri.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(uri.error().message.find("{extractor}@{version}/{output}"), std::string::npos);
  }
}

TEST(ExtractorNames, AreNormalised) {
  struct Case {
    const char *name, *version, *expected_name, *expected_version;
  };
  for (const Case& c :
       {Case{"text_extractor", "", "text_extractor", "v1"}, Case{"text_extractor", "v1", "text_extractor", "v1"},
        Case{"text_extractor", "1", "text_extractor", "v1"}, Case{"text_extractor", "1.0.0", "text_extractor", "v1"},
        Case{"text_extractor_v1", "", "text_extractor", "v1"}, Case{"text_extractor@v1", "", "text_extractor", "v1"},
        Case{"text_extractor@1.0.0", "", "text_extractor", "v1"}, Case{"text_extractor_v2", "", "text_extractor", "v2"},
        Case{"text_extractor_v2", "v1", "text_extractor", "v1"}, Case{"x", "1.2.0", "x", "v1.2"}, Case{"x", "2.0", "x", "v2"},
        Case{"video_vx", "", "video_vx", "v1"}, Case{"_v1", "", "_v1", "v1"}, Case{"x", "latest", "x", "latest"}}) {
    ExtractorName got = normalize_extractor(c.name, c.version);
    EXPECT_EQ(got.name, c.expected_name) << c.name << " " << c.version;
    EXPECT_EQ(got.version, c.expected_version) << c.name << " " << c.version;
  }
}

TEST(TaskStatuses, RoundTripAndEnd) {
  for (int i = 0; i <= static_cast<int>(TaskStatus::kDraft); ++i) {
    auto status = static_cast<TaskStatus>(i);
    EXPECT_EQ(parse_task_status(to_string(status)), status);
  }
  EXPECT_EQ(parse_task_status("nonsense"), TaskStatus::kPending);
  EXPECT_TRUE(is_terminal(TaskStatus::kCompletedWithErrors));
  EXPECT_FALSE(is_terminal(TaskStatus::kProcessing));
  EXPECT_FALSE(is_terminal(TaskStatus::kDraft));
}

}  // namespace
}  // namespace quarry
