#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <fstream>
#include <set>
#include <thread>

#include "base/file.h"
#include "extract/extract.h"
#include "extract/models/onnx_text_embedder.h"
#include "extract/test_paths.h"

namespace quarry::extract {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

float dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return static_cast<float>(sum);
}

std::unique_ptr<ModelRegistry> open_registry(std::string precision = "int8", size_t sessions = 2) {
  auto registry = ModelRegistry::open({.directory = test_models_dir(), .precision = std::move(precision), .sessions = sessions});
  EXPECT_TRUE(registry.ok());
  return std::move(registry).value();
}

class MiniLm : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    registry_ = open_registry(GetParam());
    auto embedder = registry_->text_embedder(kDefaultTextOutput);
    ASSERT_TRUE(embedder.ok()) << embedder.error().message << " (./run setup builds the model)";
    embedder_ = std::move(embedder).value();
  }
  std::vector<float> vector_of(std::string_view text) {
    auto made = embedder_->embed(text);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return made.ok() ? made->values : std::vector<float>(384);
  }
  std::unique_ptr<ModelRegistry> registry_;
  std::shared_ptr<const TextEmbedder> embedder_;
};

TEST_P(MiniLm, VectorsHaveUnitLength) {
  EXPECT_EQ(embedder_->dimension(), 384u);
  EXPECT_EQ(embedder_->output_name(), kDefaultTextOutput);
  for (std::string_view text : {"a", "hello world", "", "\xFF\xFE", "日本語のテキスト", "one two three four five six seven eight nine ten"})
    EXPECT_NEAR(dot(vector_of(text), vector_of(text)), 1.0f, 1e-4) << text;
}

TEST_P(MiniLm, RelatedTextsAreNearerThanOthers) {
  std::vector<float> query = vector_of("How do I bake bread at home?");
  float near = dot(query, vector_of("Mix flour, water, yeast and salt, let the dough rise, then put the loaf into the oven."));
  float far = dot(query, vector_of("The kernel schedules threads on several processor cores."));
  EXPECT_GT(near, far + 0.3f);
}

// The similarities that the published model gives for these sentences.
TEST_P(MiniLm, AgreesWithThePublishedModel) {
  std::vector<float> base = vector_of("That is a happy person");
  EXPECT_NEAR(dot(base, vector_of("That is a happy dog")), 0.695f, 0.02f);
  EXPECT_NEAR(dot(base, vector_of("That is a very happy person")), 0.943f, 0.02f);
  EXPECT_NEAR(dot(base, vector_of("Today is a sunny day")), 0.257f, 0.02f);
}

TEST_P(MiniLm, AVectorIsTheSameBitForBitOnAnyThread) {
  std::vector<std::string> texts;
  for (int i = 0; i < 24; ++i) {
    std::string text = "text number " + std::to_string(i);
    for (int j = 0; j < i * 3; ++j) text += " word" + std::to_string(j * 7 + i);
    texts.push_back(text);
  }
  std::vector<std::vector<float>> expected;
  for (const std::string& text : texts) expected.push_back(vector_of(text));
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) {
        size_t at = (i * 5 + t * 7) % texts.size();
        auto again = embedder_->embed(texts[at]);
        if (!again.ok() || again->values != expected[at]) ++different;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different.load(), 0);
  EXPECT_EQ((*open_registry(GetParam(), 1)->text_embedder(kDefaultTextOutput))->embed(texts[20])->values, expected[20]);
}

TEST_P(MiniLm, ALongTextIsTheWeightedMeanOfItsWindows) {
  const size_t capacity = embedder_->max_tokens() - 2;
  auto words = [](std::string_view word, size_t count) {
    std::string text;
    for (size_t i = 0; i < count; ++i) text.append(word).append(" ");
    return text;
  };
  std::string first = words("apple", capacity), second = words("engine", 40);
  auto whole = embedder_->embed(first + second);
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->windows, 2u);
  EXPECT_EQ(whole->tokens, capacity + 40);
  EXPECT_FALSE(whole->truncated);
  EXPECT_NEAR(dot(whole->values, whole->values), 1.0f, 1e-5);
  std::vector<float> a = vector_of(first), b = vector_of(second), mean(384);
  for (size_t d = 0; d < 384; ++d) mean[d] = a[d] * static_cast<float>(capacity) + b[d] * 40.0f;
  EXPECT_NEAR(dot(mean, whole->values) / std::sqrt(dot(mean, mean)), 1.0f, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Precisions, MiniLm, testing::Values("int8", "fp32"));

TEST(SplitWindows, CoversEverythingInOrderAndEndsAtWords) {
  // Every id from 5 to 9 of each ten continues a word.
  auto continues = [](size_t i) { return i % 10 >= 5; };
  for (size_t capacity : {3u, 10u, 11u, 64u, 254u})
    for (size_t size : {0u, 1u, 9u, 10u, 11u, 254u, 255u, 1000u}) {
      auto windows = split_windows(size, capacity, continues);
      size_t at = 0;
      for (auto [begin, end] : windows) {
        EXPECT_EQ(begin, at);
        EXPECT_GT(end, begin);
        EXPECT_LE(end - begin, capacity);
        if (capacity > 10 && end < size) {
          EXPECT_FALSE(continues(end)) << capacity << " " << end;
        }
        at = end;
      }
      EXPECT_EQ(at, size);
    }
  EXPECT_EQ(split_windows(1000, 100, [](size_t) { return true; }).size(), 10u) << "no word begins: windows are full";
}

TEST(ModelRegistry, AnUnknownModelIsAnsweredWithWhatThereIs) {
  auto registry = open_registry();
  for (std::string_view name : {"laion_clip_vit_l_14_v1", ""}) {
    auto embedder = registry->text_embedder(name);
    ASSERT_FALSE(embedder.ok());
    EXPECT_EQ(embedder.error().kind, ErrorKind::kInferenceUnavailable);
    EXPECT_THAT(embedder.error().message, HasSubstr(kDefaultTextOutput));
    EXPECT_EQ(embedder.error().details.at("retryable"), false);
  }
}

TEST(ModelRegistry, ADirectoryThatIsAbsentHoldsNoModels) {
  auto registry = ModelRegistry::open({.directory = "/nonexistent/models"});
  ASSERT_TRUE(registry.ok());
  EXPECT_TRUE((*registry)->list().empty());
  EXPECT_THAT((*registry)->text_embedder(kDefaultTextOutput).error().message, HasSubstr("there is none"));
}

// A model folder whose description a test changes.
class ChangedModel : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("quarry_model_test_" + std::to_string(getpid()));
    fs::create_directories(root_ / "m");
    for (const char* name : {"vocab.txt", "model_int8.onnx"})
      fs::create_symlink(test_models_dir() / "all-minilm-l6-v2" / name, root_ / "m" / name);
  }
  void TearDown() override { fs::remove_all(root_); }
  void describe(std::string_view changes) {
    json::object model = json::parse(*read_file(test_models_dir() / "all-minilm-l6-v2" / "model.json")).get_object();
    json::value changed = json::parse(changes);
    for (const auto& change : changed.get_object()) model[change.key()] = change.value();
    std::ofstream(root_ / "m" / "model.json") << json::serialize(model);
  }
  std::string fault() {
    auto registry = ModelRegistry::open({.directory = root_});
    if (!registry.ok()) return "did not open";
    auto embedder = (*registry)->text_embedder("m");
    if (embedder.ok()) return "";
    EXPECT_EQ(embedder.error().kind, ErrorKind::kInferenceUnavailable);
    EXPECT_EQ((*registry)->list().at(0).status, embedder.error().message);
    return embedder.error().message;
  }
  fs::path root_;
};

TEST_F(ChangedModel, AFaultOfTheDescriptionIsNamed) {
  describe(R"({"files": {"int8": "model_int8.onnx"}})");
  EXPECT_EQ(fault(), "");
  std::pair<const char*, const char*> cases[] = {
      {R"({"dimension": 0})", "dimension"},
      {R"({"dimension": 128, "files": {"int8": "model_int8.onnx"}})", "dimension 128"},
      {R"({"kind": "image"})", "kind"},
      {R"({"files": {"int8": "absent.onnx"}})", "absent.onnx"},
      {R"({"files": {"int8": "../m/model_int8.onnx"}})", "plain file name"},
      {R"({"files": {"int8": "model_int8.onnx"}, "graph": {"inputs": ["nonsense"]}})", "nonsense"},
      {R"({"tokenizer": {"kind": "sentencepiece"}})", "sentencepiece"},
      {R"({"files": {"int8": "vocab.txt"}})", "ONNX Runtime refuses"},
      {R"({"tokenizer": {"vocabulary": "model.json"}, "files": {"int8": "model_int8.onnx"}})", "vocabulary"},
      {R"({"files": {"int8": "model_int8.onnx"}, "graph": {"inputs": ["input_ids"], "output": "wrong"}})", "wrong"},
      {R"({"max_tokens": 2, "files": {"int8": "model_int8.onnx"}})", "max_tokens"}};
  for (const auto& [change, expected] : cases) {
    describe(change);
    EXPECT_THAT(fault(), HasSubstr(expected)) << change;
  }
  std::ofstream(root_ / "m" / "model.json") << "{";
  EXPECT_THAT(fault(), HasSubstr("not a JSON object"));
}

TEST_F(ChangedModel, TextBeyondTheLastWindowIsReported) {
  describe(R"({"max_tokens": 16, "files": {"int8": "model_int8.onnx"}})");
  auto registry = ModelRegistry::open({.directory = root_});
  ASSERT_TRUE(registry.ok());
  auto embedder = (*registry)->text_embedder("m");
  ASSERT_TRUE(embedder.ok()) << embedder.error().message;
  const size_t limit = OnnxTextEmbedder::kMaxWindows * 14;
  std::string text;
  for (size_t i = 0; i < limit; ++i) text += "a ";
  auto fits = (*embedder)->embed(text);
  ASSERT_TRUE(fits.ok());
  EXPECT_FALSE(fits->truncated);
  EXPECT_EQ(fits->windows, OnnxTextEmbedder::kMaxWindows);
  auto cut = (*embedder)->embed(text + "b");
  ASSERT_TRUE(cut.ok());
  EXPECT_TRUE(cut->truncated);
  EXPECT_EQ(cut->tokens, limit);
  EXPECT_EQ(cut->values, fits->values);
}

// Counts what reaches the model behind a cache.
class CountingEmbedder : public TextEmbedder {
 public:
  const std::string& output_name() const override { return name_; }
  uint32_t dimension() const override { return 4; }
  uint32_t max_tokens() const override { return 16; }
  Result<Embedding> embed(std::string_view text) const override {
    ++calls;
    if (text == "fail") return internal_error("failed");
    return Embedding{.values = {static_cast<float>(text.size()), 0, 0, 0}, .tokens = 1};
  }
  mutable std::atomic<int> calls{0};

 private:
  std::string name_ = "counting";
};

TEST(CachingEmbedder, RemembersUpToItsBytes) {
  auto inner = std::make_shared<CountingEmbedder>();
  auto cache = make_caching_embedder(inner, 1000);
  EXPECT_EQ(cache->embed("one")->values[0], 3.0f);
  EXPECT_EQ(cache->embed("one")->values[0], 3.0f);
  EXPECT_EQ(inner->calls, 1);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cache->embed("text " + std::to_string(i)).ok());
  EXPECT_EQ(inner->calls, 21);
  ASSERT_TRUE(cache->embed("text 19").ok());
  EXPECT_EQ(inner->calls, 21) << "the last is kept";
  ASSERT_TRUE(cache->embed("one").ok());
  EXPECT_EQ(inner->calls, 22) << "the first made room";
  ASSERT_TRUE(cache->embed(std::string(5000, 'x')).ok());
  ASSERT_TRUE(cache->embed(std::string(5000, 'x')).ok());
  EXPECT_EQ(inner->calls, 24) << "larger than the cache: never kept";
}

TEST(CachingEmbedder, DoesNotKeepFailures) {
  auto inner = std::make_shared<CountingEmbedder>();
  auto cache = make_caching_embedder(inner, 1 << 20);
  EXPECT_FALSE(cache->embed("fail").ok());
  EXPECT_FALSE(cache->embed("fail").ok());
  EXPECT_EQ(inner->calls, 2);
}

TEST(CachingEmbedder, ManyThreadsAgree) {
  auto inner = std::make_shared<CountingEmbedder>();
  auto cache = make_caching_embedder(inner, 2000);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (size_t i = 0; i < 2000; ++i)
        if (cache->embed(std::string(i % 17, 'a'))->values[0] != static_cast<float>(i % 17)) ++wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace quarry::extract
