#include "api/embedded.h"

// The assembler copies the files in: a compiler would take seconds to read them as an array.
#define QUARRY_EMBED(symbol, path)          \
  __asm__(                                  \
      ".section .rodata\n"                  \
      ".balign 16\n"                        \
      ".global " #symbol "_begin\n" #symbol \
      "_begin:\n"                           \
      ".incbin \"" path                     \
      "\"\n"                                \
      ".global " #symbol "_end\n" #symbol   \
      "_end:\n"                             \
      ".byte 0\n"                           \
      ".previous\n");                       \
  extern "C" const char symbol##_begin[];   \
  extern "C" const char symbol##_end[];

QUARRY_EMBED(quarry_openapi, QUARRY_OPENAPI_PATH)
QUARRY_EMBED(quarry_docs, QUARRY_DOCS_PATH)

namespace quarry::api {
namespace {

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }

}  // namespace

std::string_view openapi_json() { return between(quarry_openapi_begin, quarry_openapi_end); }
std::string_view docs_html() { return between(quarry_docs_begin, quarry_docs_end); }

}  // namespace quarry::api
