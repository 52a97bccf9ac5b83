"""From the text of a query to its document, which keeps none of the tokens that it was made of."""

from graphql import DocumentNode, Lexer, Location, Source, Token
from graphql.language.parser import Parser, nested_too_deeply_error


def parse(query: str, *, max_tokens: int) -> DocumentNode:
    """Parse, as graphql-core does.

    Its own documents hold their tokens, a third of their size, and these hold each other: each document would
    be left to the garbage collector. Nothing asks for them: errors tell their places by offsets.

    Raises:
        GraphQLSyntaxError: the query is no document, or has more tokens, or is deeper, than can be parsed.
    """
    lexer = Lexer(Source(query))
    parser = _Parser(lexer.source, lexer=lexer, max_tokens=max_tokens)
    try:
        return parser.parse_document()
    except RecursionError:
        pass
    finally:
        _part(lexer.token)
    raise nested_too_deeply_error(parser)


class _Parser(Parser):
    def loc(self, start_token: Token) -> Location | None:
        """Where something stands, without the tokens there."""
        location = super().loc(start_token)
        if location is not None:
            del location.start_token, location.end_token
        return location


def _part(last: Token | None) -> None:
    while last is not None:
        last.next = None
        last = last.prev
