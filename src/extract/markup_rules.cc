#include "extract/markup_rules.h"

#include <algorithm>
#include <iterator>

namespace quarry::extract {
namespace {

using Role = MarkupRole;

struct Rule {
  std::string_view name;
  Role role;
};

constexpr Rule kHtmlRules[] = {
    {"address", Role::kBlock},   {"article", Role::kBlock},    {"aside", Role::kBlock},       {"blockquote", Role::kBlock},
    {"body", Role::kBlock},      {"br", Role::kLine},          {"caption", Role::kBlock},     {"dd", Role::kLine},
    {"details", Role::kBlock},   {"div", Role::kBlock},        {"dl", Role::kBlock},          {"dt", Role::kLine},
    {"fieldset", Role::kBlock},  {"figcaption", Role::kBlock}, {"figure", Role::kBlock},      {"footer", Role::kBlock},
    {"form", Role::kBlock},      {"h1", Role::kBlock},         {"h2", Role::kBlock},          {"h3", Role::kBlock},
    {"h4", Role::kBlock},        {"h5", Role::kBlock},         {"h6", Role::kBlock},          {"header", Role::kBlock},
    {"hr", Role::kBlock},        {"li", Role::kLine},          {"main", Role::kBlock},        {"nav", Role::kBlock},
    {"noscript", Role::kHidden}, {"ol", Role::kBlock},         {"option", Role::kLine},       {"p", Role::kBlock},
    {"pre", Role::kVerbatim},    {"script", Role::kHidden},    {"section", Role::kBlock},     {"style", Role::kHidden},
    {"summary", Role::kLine},    {"svg", Role::kHidden},       {"table", Role::kBlock},       {"tbody", Role::kLine},
    {"td", Role::kCell},         {"template", Role::kHidden},  {"textarea", Role::kVerbatim}, {"tfoot", Role::kLine},
    {"th", Role::kCell},         {"thead", Role::kLine},       {"title", Role::kTitle},       {"tr", Role::kLine},
    {"ul", Role::kBlock},
};

constexpr Rule kXmlRules[] = {
    {"abstract", Role::kBlock},
    {"appendix", Role::kBlock},
    {"article", Role::kBlock},
    {"blockquote", Role::kBlock},
    {"book", Role::kBlock},
    {"bridgehead", Role::kBlock},
    {"caution", Role::kBlock},
    {"chapter", Role::kBlock},
    {"code", Role::kInline},
    {"desc", Role::kBlock},
    {"entry", Role::kCell},
    {"example", Role::kBlock},
    {"figure", Role::kBlock},
    {"formalpara", Role::kBlock},
    {"funcprototype", Role::kLine},
    {"glossentry", Role::kBlock},
    {"important", Role::kBlock},
    {"indexterm", Role::kHidden},
    {"info", Role::kBlock},
    {"informaltable", Role::kBlock},
    {"item", Role::kLine},
    {"itemizedlist", Role::kBlock},
    {"list", Role::kBlock},
    {"listitem", Role::kLine},
    {"literallayout", Role::kVerbatim},
    {"member", Role::kLine},
    {"note", Role::kBlock},
    {"orderedlist", Role::kBlock},
    {"p", Role::kBlock},
    {"page", Role::kBlock},
    {"para", Role::kBlock},
    {"part", Role::kBlock},
    {"preface", Role::kBlock},
    {"procedure", Role::kBlock},
    {"programlisting", Role::kVerbatim},
    {"refentry", Role::kBlock},
    {"refentrytitle", Role::kInline},
    {"refname", Role::kLine},
    {"refpurpose", Role::kBlock},
    {"refsect1", Role::kBlock},
    {"refsect2", Role::kBlock},
    {"refsect3", Role::kBlock},
    {"refsection", Role::kBlock},
    {"row", Role::kLine},
    {"screen", Role::kVerbatim},
    {"sect1", Role::kBlock},
    {"sect2", Role::kBlock},
    {"sect3", Role::kBlock},
    {"sect4", Role::kBlock},
    {"sect5", Role::kBlock},
    {"section", Role::kBlock},
    {"seg", Role::kCell},
    {"simpara", Role::kBlock},
    {"simplelist", Role::kBlock},
    {"step", Role::kLine},
    {"steps", Role::kBlock},
    {"subtitle", Role::kBlock},
    {"synopsis", Role::kVerbatim},
    {"table", Role::kBlock},
    {"td", Role::kCell},
    {"term", Role::kLine},
    {"terms", Role::kBlock},
    {"tip", Role::kBlock},
    {"title", Role::kTitle},
    {"tr", Role::kLine},
    {"variablelist", Role::kBlock},
    {"varlistentry", Role::kBlock},
    {"warning", Role::kBlock},
};

constexpr auto kByName = [](const Rule& a, const Rule& b) { return a.name < b.name; };
static_assert(std::is_sorted(std::begin(kHtmlRules), std::end(kHtmlRules), kByName));
static_assert(std::is_sorted(std::begin(kXmlRules), std::end(kXmlRules), kByName));

}  // namespace

MarkupRole role_of(std::string_view name, bool html) {
  const Rule *begin = html ? std::begin(kHtmlRules) : std::begin(kXmlRules), *end = html ? std::end(kHtmlRules) : std::end(kXmlRules);
  const Rule* found = std::lower_bound(begin, end, Rule{name, Role::kInline}, kByName);
  return found != end && found->name == name ? found->role : Role::kInline;
}

}  // namespace quarry::extract
