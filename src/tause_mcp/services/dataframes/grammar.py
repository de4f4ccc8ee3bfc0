"""What of SQL a query may hold: kinds of syntax node, functions, types. Anything else is refused.

The dialect reads every function call as a plain name with arguments, so that what is checked is
what is written out again: nothing is translated on the way.
"""

from collections.abc import Mapping
from typing import ClassVar

from sqlglot import exp, generator, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import TokenType

CASTS = ("CAST", "TRY_CAST", "EXTRACT")


class Polars(Dialect):
    """SQL as polars reads it: standard quoting; nulls sort as the largest."""

    NULL_ORDERING = "nulls_are_large"

    class Tokenizer(tokens.Tokenizer):
        """Standard tokens."""

    class Parser(parser.Parser):
        """Functions stay what they are called."""

        FUNCTIONS: ClassVar = {}
        FUNCTION_PARSERS: ClassVar = {
            name: read for name, read in parser.Parser.FUNCTION_PARSERS.items() if name in CASTS
        }
        NO_PAREN_FUNCTIONS: ClassVar = {
            TokenType.CURRENT_DATE: exp.CurrentDate,
            TokenType.CURRENT_TIMESTAMP: exp.CurrentTimestamp,
        }
        NO_PAREN_FUNCTION_PARSERS: ClassVar = {
            name: read
            for name, read in parser.Parser.NO_PAREN_FUNCTION_PARSERS.items()
            if name == "CASE"
        }

        def _warn_unsupported(self) -> None:
            """A statement of another kind is refused; the library would log its text."""
            self.raise_error("unsupported")

    class Generator(generator.Generator):
        """Standard SQL."""


NODES: frozenset[type[exp.Expr]] = frozenset(
    {
        # a query
        exp.Select,
        exp.From,
        exp.Join,
        exp.Table,
        exp.Subquery,
        exp.With,
        exp.CTE,
        exp.TableAlias,
        exp.Where,
        exp.Group,
        exp.Having,
        exp.Qualify,
        exp.Order,
        exp.Ordered,
        exp.Limit,
        exp.Offset,
        exp.Distinct,
        exp.Union,
        exp.Except,
        exp.Intersect,
        # values and names
        exp.Identifier,
        exp.Column,
        exp.Star,
        exp.Alias,
        exp.Literal,
        exp.Null,
        exp.Boolean,
        exp.Paren,
        exp.Tuple,
        exp.Var,
        exp.Interval,
        exp.Cast,
        exp.TryCast,
        exp.DataType,
        exp.DataTypeParam,
        # operators
        exp.And,
        exp.Or,
        exp.Not,
        exp.Neg,
        exp.EQ,
        exp.NEQ,
        exp.GT,
        exp.GTE,
        exp.LT,
        exp.LTE,
        exp.Is,
        exp.In,
        exp.Between,
        exp.Like,
        exp.ILike,
        exp.Escape,
        exp.Exists,
        exp.Add,
        exp.Sub,
        exp.Mul,
        exp.Div,
        exp.Mod,
        exp.DPipe,
        exp.Case,
        exp.If,
        # functions and windows
        exp.Anonymous,
        exp.Extract,
        exp.CurrentDate,
        exp.CurrentTimestamp,
        exp.Filter,
        exp.Window,
        exp.WindowSpec,
    }
)

TYPES = frozenset(
    {
        exp.DType.BOOLEAN,
        exp.DType.TINYINT,
        exp.DType.SMALLINT,
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.FLOAT,
        exp.DType.DOUBLE,
        exp.DType.DECIMAL,
        exp.DType.CHAR,
        exp.DType.VARCHAR,
        exp.DType.TEXT,
        exp.DType.DATE,
        exp.DType.TIME,
        exp.DType.DATETIME,
        exp.DType.TIMESTAMP,
    }
)

TOPICS: Mapping[str, str] = {
    "of a group": "count sum avg min max median stddev variance quantile_cont quantile_disc corr "
    "covar first last string_agg",
    "over a window": "row_number rank dense_rank lag lead first_value last_value ntile",
    "choice": "coalesce nullif ifnull if greatest least",
    "numbers": "abs ceil ceiling floor round sign sqrt cbrt pow power exp ln log log2 log10 log1p "
    "mod pi degrees radians sin cos tan cot asin acos atan atan2",
    "text": "length char_length octet_length bit_length lower upper initcap trim ltrim rtrim "
    "substr substring left right replace reverse concat concat_ws starts_with ends_with strpos "
    "split_part regexp_like",
    "time": "date_part date_trunc year month day hour minute second quarter week strftime date now",
}
"""Every function, by what it is for."""
FUNCTIONS = frozenset(name for names in TOPICS.values() for name in names.split())
