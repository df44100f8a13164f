"""Words about limits in an error text: the window that a sentence names, and the model. Pure."""

import re
from typing import Final

from tokmon.evidence.units import SECONDS

_MOST: Final = 96
"""The greatest number that counts hours or days, but for whole weeks. A greater one is a status code."""

_WEEKS: Final = frozenset({168, 336, 720, 744})
"""One week, two weeks and a month in hours."""

_NAMED: Final = (
    (re.compile(r"\bfive[- ]hour"), "5h"),
    (
        re.compile(
            r"\bseven[- ]day|(?<!bi)(?<!bi-)\bweekly\b|\b(?:this|per|each|the|a|current) week\b|/ ?week\b"
            r"|\bweek (?:allocat|quota)|每周|每週|本周|本週|[周週](?:限|额|額|配额|用量|使用)|週間|毎週"
        ),
        "7d",
    ),
    (
        re.compile(
            r"\bmonthly\b|\b(?:this|per|each|the|a|current|calendar) month\b|/ ?month\b|\bmonth (?:allocat|quota)"
            r"|每月|本月|月度|月(?:限|额|額|配额|用量|使用)|月間|毎月"
        ),
        "30d",
    ),
    (
        re.compile(
            r"\bdaily\b|\b(?:per|a|each)[- ]day\b|\btoday\b|\b(?:of|for) the day\b|/ ?day\b|\b[tr]pd\b"
            r"|每日|每天|今日|当日|當日|毎日"
        ),
        "1d",
    ),
    (re.compile(r"\bhour allocat"), "5h"),  # the words of Alibaba's coding plans
    (re.compile(r"\bhourly\b|\b(?:per|an|each)[- ]hour\b|/ ?hour\b|每小时|每小時"), "1h"),
    (re.compile(r"\bfortnight|\bbi-?weekly\b"), "14d"),
    (re.compile(r"\b(?:yearly|annual)\b|\b(?:this|per|each) year\b|每年|年度"), "365d"),
)
_COUNTED: Final = re.compile(
    r"(?<![a-z0-9.])(\d{1,3}) ?-? ?(hours?|hrs?|h|days?|d|weeks?|months?|个小时|個小時|小时|小時|天|日|周|週|个月|個月)"
    r"(?![a-z0-9])(?!后|後|内|內)"
)
_OF_LIMIT: Final = re.compile(
    r"[^a-z]{0,4}(?:[a-z-]{1,16} ){0,3}?"
    r"(?:limit|quota|window|cap|allow|allot|usage|session|allocat|period|budget|block)"
    r"|\)?$|[) ]{0,3}(?:的|用量|使用|额度|額度|配额|配額|上限|限)"
)
"""What follows the length of a limit: "5-hour usage limit"."""

_FOR: Final = re.compile(
    r"(?:\bfor|\bof|\bper|\bevery|\blast|\bpast|\brolling|\() ?(?:the |a |your )?(?:last |past )?$"
    r"|(?:已达到|已達到|达到|達到)了? ?$"
)
"""What precedes it: "limit reached for 5 hour"."""

_WAIT: Final = re.compile(r"\b(?:in|after|wait|within|another|about) ~?$")
"""What precedes a wait instead."""

_JSON_MODEL: Final = re.compile(r'"model(?:_?id|_?name)?" ?: ?"([^"\s]{1,80})"', re.IGNORECASE)
_MODEL: Final = re.compile(
    r"\b(?:for|of|on|using|model) (?:the )?(?:model )?[\"'`\[(]?(?!org-|user-|proj|key-|sk-|req|tier-|plan-)"
    r"([a-z][a-z0-9]{0,20}(?:\.\d{1,3})?[-/:][a-z0-9]{1,24}(?:[-./:][a-z0-9]{1,24}){0,8})[\"'`]?(?![\w-])",
    re.IGNORECASE,
)
_KNOWN_MODEL: Final = re.compile(
    r"\b(?:for|of|on|using|your|metric) (?:the )?'?"
    r"((?:claude|deepseek|gemini|glm|gpt|grok|kimi|llama|minimax|mistral|qwen)"
    r"[ -](?:[a-z]{1,10} )?[kmvro]?\d[\d.]{0,5}(?: (?:pro|flash|fast|lite|max|mini|nano|opus|sonnet|turbo))?)\b",
    re.IGNORECASE,
)
_A_MODEL: Final = re.compile(
    r"\b(?:limit|quota|capacity|cap|allowance|usage|request|credential)s? (?:is |was |has been |been )?"
    r"(?:reached |exceeded |exhausted |available |left )?"
    r"(?:for|on|of|with) (?:this|that|the requested|the selected) model\b"
    r"|\b(?:this|that) model's (?:rate |usage )?(?:limit|quota)|\bresume using this model\b"
    r"|\bmodel[- ](?:specific|level|scoped) (?:rate )?(?:limit|quota)"
    r"|\bper[- ]model (?:rate )?(?:limit|quota)|\bfree tier of the model\b|\brequests for model\b|[该該此]模型"
    r"|\b(?:limit|quota) for (?:the )?\[?[\w.:/-]{2,60}\]? model\b"
    r"|\b(?:user_)?model_(?:rate_limited|cooldown|quota|limit|usage)"
)
_CLAUDE: Final = re.compile(
    r"\b(opus|sonnet|haiku|fable)(?: \d[\d.]{0,4})? (?:(?:weekly|usage|model|plan) ){0,3}"
    r"(?:limit|quota|usage|allowance)"
    r"|\b(?:limit|quota|allowance)s? (?:reached |exceeded )?for (?:claude )?(opus|sonnet|haiku|fable)\b"
)


def named_window(text: str) -> str | None:
    """The window of the limit that a sentence (lower case) names: `5h`, `7d`, `30d`, `1d`; None if it names none."""
    for match in _COUNTED.finditer(text):
        before, after = text[max(0, match.start() - 24) : match.start()], text[match.end() : match.end() + 48]
        of_limit = (_OF_LIMIT.match(after) and not _WAIT.search(before)) or _FOR.search(before)
        name = _name(int(match[1]), match[2]) if of_limit else None
        if name is not None:
            return name
    return next((name for pattern, name in _NAMED if pattern.search(text)), None)


def _name(number: int, unit: str) -> str | None:
    if not 0 < number <= _MOST and number not in _WEEKS:
        return None
    hours = round(number * SECONDS[unit] / 3600)
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def named_model(text: str) -> str | None:
    """The model that an error text (in its own case) names, in a JSON field or in a sentence; None if it names none."""
    match = _JSON_MODEL.search(text)
    if match is not None:
        return match[1]
    names = (match[1] for match in _MODEL.finditer(text))
    name = next((name for name in names if any(map(str.isdigit, name))), None)
    match = _KNOWN_MODEL.search(text) if name is None else None
    return name if match is None else match[1]


def claude_family(text: str) -> str | None:
    """`opus` if the text (lower case) is about a limit of that family of models alone; None otherwise."""
    match = _CLAUDE.search(text)
    return None if match is None else match[1] or match[2]


def concerns_a_model(text: str) -> bool:
    """True if the text (lower case) says that the limit is one model's: "the quota for this model"."""
    return _A_MODEL.search(text) is not None
