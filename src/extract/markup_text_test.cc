#include "extract/markup_text.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "extract/utf8.h"

namespace quarry::extract {
namespace {

TEST(TextOfHtml, BlocksBecomeParagraphsAndScriptsGo) {
  MarkupText page = text_of_html(
      "<!DOCTYPE html>\n<html><head><title>A &amp; B</title><style>p { color: red }</style><SCRIPT>if (a < b) "
      "x('</p>');</SCRIPT></head>\n<body><h1>Head</h1><p>First\n   line <b>bold</b>"
      "ly,<!-- <p>hidden --> "
      "second.<br>third</p><ul><li>one<li>two</ul><table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table><pre>  keep\n\tthis "
      "&lt;x&gt;</pre>end</body>");
  EXPECT_EQ(page.title, "A & B");
  EXPECT_EQ(page.text, "Head\n\nFirst line boldly, second.\nthird\n\none\ntwo\n\na b\nc\n\n  keep\n\tthis <x>\n\nend");
}

TEST(TextOfHtml, WhatIsNoTagIsText) {
  EXPECT_EQ(text_of_html("1 < 2 && 3 > 2 <3").text, "1 < 2 && 3 > 2 <3");
  EXPECT_EQ(text_of_html("a<b title='>' x=\">\">c</b>").text, "ac");
  EXPECT_EQ(text_of_html("cut <a href=\"x").text, "cut");
  EXPECT_EQ(text_of_html("<script>never closed <p>x").text, "");
  EXPECT_EQ(text_of_html("cut <!-- comment").text, "cut");
  EXPECT_EQ(text_of_html("").text, "");
}

TEST(TextOfXml, ReadsDocBook) {
  MarkupText book = text_of_xml(
      "<?xml version=\"1.0\"?>\n<!DOCTYPE book PUBLIC \"-//OASIS//DTD DocBook XML V4.5//EN\" \"x.dtd\" [\n<!ENTITY v "
      "\"1>0\">\n]>\n<book><title>The Book</title><chapter><title>One</title><para>Call\n <function>f</function>"
      "(<literal>x</literal>).</para><indexterm><primary>hidden</primary></indexterm><itemizedlist><listitem><para>item</para></listitem></"
      "itemizedlist>"
      "<programlisting><![CDATA[if (a < b &amp;)\n  go();]]></programlisting></chapter></book>");
  EXPECT_EQ(book.title, "The Book");
  EXPECT_EQ(book.text, "The Book\n\nOne\n\nCall f(x).\n\nitem\n\nif (a < b &amp;)\n  go();");
}

TEST(TextOfXml, ReadsMallardWithNamespaces) {
  EXPECT_EQ(text_of_xml("<page xmlns:its='x'><info><its:rules/></info><title>Files</title><p>Open "
                        "<gui>Files</gui>.</p><steps><item><p>Click.</p></item></steps></page>")
                .text,
            "Files\n\nOpen Files.\n\nClick.");
}

TEST(DecodeEntities, NamedAndNumbered) {
  EXPECT_EQ(decode_entities("&lt;&gt;&amp;&quot;&apos;&nbsp;&eacute;&#233;&#xe9;&#X1F600;"), "<>&\"'\xC2\xA0\u00e9\u00e9\u00e9\U0001F600");
  EXPECT_EQ(decode_entities("&;&x&unknown;&#;&#0;&#xD800;&#99999999;&#x110000; AT&T &amp"),
            "&;&x&unknown;&#;&#0;&#xD800;&#99999999;&#x110000; AT&T &amp");
  EXPECT_EQ(decode_entities("&amp;lt;"), "&lt;");
}

TEST(TextOfMarkup, AnyInputGivesValidTextNoLongerThanItself) {
  static const std::string_view kPieces[] = {"<",  ">",         "</", "/>", "<!--",  "-->",    "<![CDATA[", "]]>",  "<?",
                                             "?>", "<!DOCTYPE", "[",  "p",  "pre",   "script", "title",     " ",    "\n",
                                             "\"", "'",         "=",  "&",  "&amp;", "&#65;",  ";",         "text", "\xC3\xA9"};
  Rng rng(9);
  for (int round = 0; round < 20000; ++round) {
    std::string source;
    for (uint64_t n = rng.below(25); n > 0; --n) source += kPieces[rng.below(std::size(kPieces))];
    for (const MarkupText& read : {text_of_html(source), text_of_xml(source)}) {
      ASSERT_TRUE(is_valid_utf8(read.text)) << source;
      ASSERT_LE(read.text.size(), 2 * source.size()) << source;
    }
  }
}

}  // namespace
}  // namespace quarry::extract
