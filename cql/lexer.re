/* CQL's lexer, for re2c: Cassandra's tokens, one at a time, nothing allocated.
 *
 * The text need not end in a NUL: every byte is read through YYPEEK, which gives 0 at the end, and
 * a 0 inside the text is no part of any token. A token's slice is the text as written: quotes are
 * removed by whoever needs the value (cql/parse.c). */
#include "cql/cql_private.h"
#include "cql/grammar.h"

#define YYCTYPE uint8_t
#define YYPEEK() (cursor < limit ? *cursor : 0)
#define YYSKIP() ++cursor
#define YYBACKUP() marker = cursor
#define YYRESTORE() cursor = marker
#define YYBACKUPCTX() context = cursor
#define YYRESTORECTX() cursor = context
#define YYSHIFT(by) cursor += (by)

#define TOKEN(kind_) return (lexer->cursor = cursor, (struct cqli_token){start, (size_t)(cursor - start), kind_, NULL})
#define BAD(fault_)                                                                                \
    return (lexer->cursor = limit, (struct cqli_token){start, (size_t)(cursor - start), CQLI_TOKEN_BAD, fault_})

/* A word: a keyword of the grammar or a name. */
static struct cqli_token word_token(const uint8_t *start, size_t len)
{
    const struct cqli_keyword *keyword = cqli_keyword_find(base_slice(start, len));
    return (struct cqli_token){start, len, keyword ? keyword->token : CQLI_TK_IDENT, NULL};
}

struct cqli_token cqli_lex(struct cqli_lexer *lexer)
{
    const uint8_t *cursor = lexer->cursor, *limit = lexer->limit, *marker, *context, *start;
again:
    start = marker = context = cursor;
    if (cursor >= limit) {
        lexer->cursor = limit;
        return (struct cqli_token){limit, 0, CQLI_TOKEN_END, NULL};
    }
    /*!re2c
        re2c:api = custom;
        re2c:api:style = functions;
        re2c:yyfill:enable = 0;

        digit = [0-9];
        hex = [0-9a-fA-F];
        integer = "-"? digit+;
        exponent = [eE] [+-]? digit+;
        unit = 'y' | 'mo' | 'w' | 'd' | 'h' | 'm' | 's' | 'ms' | 'us' | "\xc2\xb5" [sS] | 'ns';
        iso_date = (digit+ "Y" (digit+ "M")? (digit+ "D")?) | (digit+ "M" (digit+ "D")?) | (digit+ "D");
        iso_time = "T" ((digit+ "H" (digit+ "M")? (digit+ "S")?) | (digit+ "M" (digit+ "S")?) | (digit+ "S"));
        d2 = digit digit;
        iso_full = d2 d2 "-" d2 "-" d2 "T" d2 ":" d2 ":" d2;

        [ \t\r\n]+                  { goto again; }
        ("--" | "//") [^\r\n\x00]*  { goto again; }
        "/*" ([^*\x00] | "*"+ [^*/\x00])* "*"+ "/" { goto again; }
        "/*"                        { BAD("a comment that does not end"); }

        "'" ([^'\x00] | "''")* "'"  { TOKEN(CQLI_TK_STRING); }
        "'"                         { BAD("a string that does not end"); }
        "$$" ([^$\x00] | "$" [^$\x00])* "$$" { TOKEN(CQLI_TK_STRING); }
        "$$"                        { BAD("a string that does not end"); }
        "\"" ([^"\x00] | "\"\"")+ "\"" { TOKEN(CQLI_TK_QUOTED_NAME); }
        "\"\""                      { BAD("an empty name"); }
        "\""                        { BAD("a quoted name that does not end"); }

        integer                     { TOKEN(CQLI_TK_INTEGER); }
        integer / ".."              { TOKEN(CQLI_TK_INTEGER); } /* m[1..2] */
        integer "." / ".."          { TOKEN(CQLI_TK_FLOAT); }
        integer "." digit* exponent? | integer exponent { TOKEN(CQLI_TK_FLOAT); }
        '-nan'                      { TOKEN(CQLI_TK_NAN); }
        '-infinity'                 { TOKEN(CQLI_TK_INFINITY); }
        "-"? digit+ unit (digit+ unit)* { TOKEN(CQLI_TK_DURATION); }
        "-"? "P" (iso_date iso_time? | iso_time | digit+ "W" | iso_full) { TOKEN(CQLI_TK_DURATION); }
        hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12} { TOKEN(CQLI_TK_UUID); }
        "0" [xX] hex*               { TOKEN(CQLI_TK_BLOB); }
        'true' | 'false'            { TOKEN(CQLI_TK_BOOLEAN); }
        [a-zA-Z] [a-zA-Z0-9_]*      { lexer->cursor = cursor; return word_token(start, (size_t)(cursor - start)); }

        "("  { TOKEN(CQLI_TK_LP); }
        ")"  { TOKEN(CQLI_TK_RP); }
        "{"  { TOKEN(CQLI_TK_LB); }
        "}"  { TOKEN(CQLI_TK_RB); }
        "["  { TOKEN(CQLI_TK_LS); }
        "]"  { TOKEN(CQLI_TK_RS); }
        "<"  { TOKEN(CQLI_TK_LT); }
        ">"  { TOKEN(CQLI_TK_GT); }
        "<=" { TOKEN(CQLI_TK_LE); }
        ">=" { TOKEN(CQLI_TK_GE); }
        "!=" { TOKEN(CQLI_TK_NE); }
        "="  { TOKEN(CQLI_TK_EQ); }
        ","  { TOKEN(CQLI_TK_COMMA); }
        ";"  { TOKEN(CQLI_TK_SEMI); }
        ":"  { TOKEN(CQLI_TK_COLON); }
        "."  { TOKEN(CQLI_TK_DOT); }
        ".." { TOKEN(CQLI_TK_RANGE); }
        "?"  { TOKEN(CQLI_TK_QMARK); }
        "+"  { TOKEN(CQLI_TK_PLUS); }
        "-"  { TOKEN(CQLI_TK_MINUS); }
        "+=" { TOKEN(CQLI_TK_PLUS_EQ); }
        "-=" { TOKEN(CQLI_TK_MINUS_EQ); }
        "*"  { TOKEN(CQLI_TK_STAR); }
        "/"  { TOKEN(CQLI_TK_SLASH); }
        "%"  { TOKEN(CQLI_TK_PERCENT); }
        *    { BAD("a character that CQL does not know"); }
    */
}
