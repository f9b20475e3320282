#include "model/tiering_rules.h"

#include <gtest/gtest.h>

namespace quarry {
namespace {

json::array rules(std::string_view text) { return json::parse(text).as_array(); }

TEST(TieringRules, AcceptedAndRead) {
  const json::array all = rules(R"([{"rule_type":"auto_evict","enabled":true,"threshold_days":30},
                                    {"rule_type":"auto_archive","enabled":false,"threshold_days":90},
                                    {"rule_type":"auto_rehydrate","enabled":true,"threshold_days":null}])");
  ASSERT_TRUE(check_tiering_rules(all).ok());
  const TieringRules read = read_tiering_rules({{"tiering_rules", all}});
  EXPECT_EQ(read.evict_after_days, 30);
  EXPECT_FALSE(read.archive_after_days);
  EXPECT_TRUE(read.rehydrate);
  EXPECT_TRUE(check_tiering_rules({}).ok());
  EXPECT_FALSE(read_tiering_rules({}).any());
}

TEST(TieringRules, DisabledRulesNeedNoThreshold) {
  const json::array off = rules(R"([{"rule_type":"auto_evict"},{"rule_type":"auto_archive","enabled":false}])");
  EXPECT_TRUE(check_tiering_rules(off).ok());
  EXPECT_FALSE(read_tiering_rules({{"tiering_rules", off}}).any());
}

TEST(TieringRules, Refused) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"([7])", "rule_type"},
      {R"([{"rule_type":"burn","enabled":true,"threshold_days":1}])", "rule_type"},
      {R"([{"rule_type":"auto_evict","enabled":true}])", "threshold_days"},
      {R"([{"rule_type":"auto_evict","enabled":true,"threshold_days":null}])", "threshold_days"},
      {R"([{"rule_type":"auto_evict","enabled":true,"threshold_days":0}])", "threshold_days"},
      {R"([{"rule_type":"auto_archive","enabled":false,"threshold_days":-3}])", "threshold_days"},
      {R"([{"rule_type":"auto_archive","enabled":true,"threshold_days":1.5}])", "threshold_days"},
      {R"([{"rule_type":"auto_archive","enabled":true,"threshold_days":36501}])", "threshold_days"},
      {R"([{"rule_type":"auto_archive","enabled":true,"threshold_days":1e300}])", "threshold_days"},
      {R"([{"rule_type":"auto_archive","enabled":true,"threshold_days":"9"}])", "threshold_days"},
      {R"([{"rule_type":"auto_rehydrate","enabled":true,"threshold_days":3}])", "threshold_days"},
      {R"([{"rule_type":"auto_rehydrate","enabled":"yes"}])", "enabled"},
      {R"([{"rule_type":"auto_rehydrate","days":3}])", "days"},
  };
  for (const auto& [text, member] : cases) {
    const Status refused = check_tiering_rules(rules(text));
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().kind, ErrorKind::kValidation) << text;
    EXPECT_EQ(refused.error().details.at("validation_errors").at(0).at("location").as_array().back().as_string(), member) << text;
  }
}

TEST(TieringRules, OneOfAType) {
  const Status refused = check_tiering_rules(rules(
      R"([{"rule_type":"auto_evict","enabled":true,"threshold_days":1},{"rule_type":"auto_evict","enabled":false,"threshold_days":2}])"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().details.at("validation_errors").at(0).at("location").at(2), 1);
}

// An earlier release took rules without thresholds.
TEST(TieringRules, StoredWithoutThresholdCountAsDisabled) {
  EXPECT_FALSE(read_tiering_rules({{"tiering_rules", rules(R"([{"rule_type":"auto_evict","enabled":true}, 3, {"enabled":true}])")}}).any());
}

}  // namespace
}  // namespace quarry
