"""Usage limits in the words of any provider: the cautious reading for an error text that no family knows.

A clause states a reached limit if it has a limit of use ("weekly limit", "plan quota", "spend cap") and a verb for its
end ("reached", "exhausted", "run out of"), and no word for a limit of another kind (context length, file size, requests
per minute). Only a 403, a 429, an error inside a served stream, or a text without status code can state one.
"""

import re
from collections.abc import Iterator
from typing import Final

from tokmon.evidence.ends import End, stated_end
from tokmon.evidence.limit_words import claude_family, concerns_a_model, named_model, named_window
from tokmon.evidence.model import ErrorClass, ErrorText, Scope, Status, Window, replace

_CODES: Final = frozenset({None, 402, 403, 412, 429})
_SERVED: Final = range(200, 300)
_STRUCTURED: Final = re.compile(r'\s*(?:event: ?error|"(?:type|error|base_resp)"|\{"(?:type|error)")')

_CLAUSE: Final = re.compile(r"[^.!?;{}\[\]\"\n|·]{3,400}(?:\.\d[^.!?;{}\[\]\"\n|·]{0,200}){0,4}")
_LIMIT: Final = re.compile(
    r"\b(?:limits?(?! error)|caps?|quotas?|allowances?|allotments?|allocations?|budget|credits?|balance)\b"
    r"|\b(?:free (?:usage|tier)|included (?:\w{1,20} )?(?:usage|tokens)|window)\b"
    r"|\b(?:included|remaining|user|daily|weekly|monthly|hourly|\d{1,9}) (?:requests|messages)\b"
    r"|\btokens per (?:hour|day|week|month)\b|\b[tr]pd\b"
    r"|\b(?:hourly|daily|weekly|monthly|session) (?:\w{1,20} )?(?:usage|hours)\b"
    r"|余额|餘額|上限|限额|限額|额度|額度|配额|配額|用量"
)
_ENDED: Final = re.compile(
    r"\b(?:reach(?:ed|es)|hit(?:ting)?|exceed(?:s|ed|ing)?|exhausted|used (?:up|all)|depleted|consumed)\b"
    r"|\bused (?:its|your|their|the) (?:entire|full|whole|hourly|daily|weekly|monthly)\b"
    r"|\bspent\b|\bmaxed out\b|\b100 ?%|\bhas been used\b|\bused (\d[\d,]{0,12}) ?(?:of|/) ?\1\b"
    r"|\b(?:(?:run|ran) out|out of|over (?:your|the|its|quota))\b"
    r"|\b(?:no|0|zero) (?:more |remaining |of \d[\d,]{0,12} )?(?:\w{1,20} )?"
    r"(?:quota|credits?|usage|allowance|requests|messages)\b"
    r"|\btoo many (?:tokens|requests) per\b"
    r"|达到|達到|已达|已達|用完|用尽|用盡|耗尽|耗盡|超出|超过|超過|超限|達し"
)
_OF_USE: Final = re.compile(
    r"\b(?:usage|session|week|month|hour|subscription|membership|spend|billing (?:cycle|period)|premium|allowance)"
    r"|\b(?:daily|day|today|plan|budget|credits?|key|account|workspace|organi[sz]ation|team|seat|tier|free|individual|trial|[tr]pd)\b"
    r"|\b(?:allotments?|fair[- ]use|prepaid|billing|opus|sonnet|haiku|fable)\b"
    r"|\byour (?:current |full |entire )?(?:quota|limit)\b"
    r"|\bquota (?:is |has been |was )?(?:exhausted|used up|depleted)"
    r"|\b\d{1,3} ?-? ?(?:h|d|hr)\b"
    r"|使用|用量|额度|額度|限额|限額|配额|配額|余额|餘額|今日|当日|小时|小時|利用|周额|週額|月额|月額|每周|每週|每月|每日|每天|套餐"
)
_MONEY: Final = re.compile(
    r"\b(?:spend(?:ing)?|(?<!token )(?<!request )budget|credits?|balance|payment|prepaid)\b"
    r"|\b(?:billing (?:hard )?(?:limit|cap)|cost (?:limit|cap))\b"
    r"|[$€£¥] ?\d|余额|餘額|消费|消費|费用|費用"
)
_OTHER_KIND: Final = re.compile(
    # what a limit of one request is about
    r"\b(?:context|length|size|body|payload|characters?|storage|depth|resolution|pages?|tools?|functions?|batch)\b"
    r"|\b(?:file|upload|attachment|image|nested|recursion|timeout)|\bidle\b|\btime limit|\bage limit|\bduration\b"
    r"|\bmax(?:imum)? (?:output |input )?(?:tokens?|number)\b"
    r"|(?<!daily )(?<!weekly )(?<!monthly )(?<!hourly )(?<!hour )\btoken (?:limit|count)"
    r"|\b(?:input|output|prompt|completion|budget) tokens?\b|\b(?:input|output|prompt|request|message) exceeds\b"
    # a rate
    r"|\bconcurren|\bparallel|\bsimultaneous|\bper[- ](?:minute|second|min|sec|request|message|conversation)\b"
    r"|\bevery \d{1,3} (?:sec|min)|/ ?(?:min|minute|sec|second|s)\b|\b(?:rpm|tpm|rps|qps)\b|\bretry limit|\bretries\b"
    # people and things
    r"|\b(?:seats|members|devices|passwords?|projects|api keys|searches|jobs?|ips?|exports?|downloads?)\b"
    r"|\brepositor|\binvit"
    r"|并发|並發|频率|頻率|速率|每分钟|每分鐘|每秒|长度|長度|上下文|字数|字數|大小"
)
_CONDITION: Final = re.compile(
    r"\b(?:not|never|approaching|about to|nearly|almost|if|when|once|until|unless|before|will|may|might|could)\b"
    r"|n't\b|未|如果|即将|即將"
)
"""Words before the verb: the limit is not reached yet, or the sentence is a condition."""

_GRANTED: Final = re.compile(
    r"\blimit(?:ed to| of) \d[\d,]{0,12} [a-z ]{1,24}(?:/|per|a|each) ?(?:hour|day|week|month)\b"
)
"""What a plan grants. In a 429 that is the limit that was reached."""

_SUM: Final = re.compile(r" (?:of )?\(?(?:usd|eur|cny|rmb|[$€£¥]) ?\d")
_NO_MONEY: Final = re.compile(
    r"\b(?:insufficient|not enough|negative|overdue|don't have (?:any|enough)|doesn't have (?:any|enough)"
    r"|does not have (?:any|enough)|do not have (?:any|enough)) (?:\w{1,20} ){0,2}?(?:credits?|balance|funds)\b"
    r"|\b(?:balance|funds) (?:is|are) (?:insufficient|too low|negative|depleted|exhausted|overdue|empty|zero|0)\b"
    r"|\b(?:balance|funds|quota) (?:is|are) (?:not enough|insufficient)\b"
    r"|\barrear|\b(?:overdue|unpaid) (?:balance|payment|invoice|bill)|\baccountoverdue|余额不足|餘額不足|欠费|欠費"
)
_NO_CREDIT: Final = ErrorClass(Status.NO_CREDIT, Scope.ACCOUNT)
_TOO_MANY: Final = 429
_BRACKETS: Final = re.compile(r"\[([\w.:/-]{1,60})\]")

_RATE: Final = re.compile(r"\brate[ -]?limit")
_PERIOD_OF_RATE: Final = re.compile(
    r"\b(?:[tr]pd\b|hour|dai|day|week|month|session|\d{1,3} ?-? ?(?:h|d|hours?|days?)\b)"
)
_POLICY: Final = re.compile(
    r"\b(?:content polic|polic(?:y|ies) violation|blocked by)"
    r"|\b(?:flagged|safety|harmful|prohibited|moderat\w{0,10}|violat\w{0,10}|guardrails?)\b"
    r"|\bcontent[_ ]filter|\bpermission[_ ]denied\b|\bunsupported_country"
    r"|\bnot (?:available|supported) in your (?:country|region|location)"
)
_RELAYED: Final = re.compile(
    r"\berror from (?:the )?(?:upstream )?provider\b|\bprovider returned (?:an )?error\b|\"provider_name\" ?: ?\""
    r"|上游|\bupstream ?:|\[[a-z0-9._-]{1,40}/[a-z0-9._:-]{1,60}\] ?\[?\d{3}\b"
    r"|\bupstream[_ ](?:error|provider|request|api|response|rate)|\bfrom upstream\b"
    r"|\blitellm\.(?!budget)\w{1,40}(?:error|exception)\b|(?<=[a-z]{3})exception - "
)
_WINDOW_FIELD: Final = re.compile(
    r'(?:"(?:limit(?:_?(?:name|type|window))?|window|period|quota_?type|interval|reason|code)" ?: ?"|\(reason: )'
    r"([a-z0-9 _-]{1,40})[\")]"
)
_OF_LIMITS: Final = frozenset({Status.REJECTED, Status.NO_CREDIT})
_WITH_END: Final = _OF_LIMITS | {Status.OVERLOADED}
_ACCOUNTS: Final = frozenset({Status.REJECTED, Status.NO_CREDIT, Status.INVALID_KEY, Status.POLICY_REJECTED})
_CHINESE_TYPES: Final = ("zai", "z-ai", "z.ai", "zhipu", "glm", "bigmodel")
_CHINA_H: Final = 8.0
_BURST_S: Final = 60.0
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def classify(error: ErrorText) -> ErrorClass | None:
    """The refusal of an account, or of the model that the text names; None if the text states no reached limit."""
    if not _may_state_one(error) or _POLICY.search(error.lowercase):
        return None
    named = _window_field(error.lowercase)
    clauses = list(_reached_limits(_BRACKETS.sub(r" \1 ", _CAMEL.sub(" ", error.text)).lower(), error, named))
    if not clauses:
        return _NO_CREDIT if _NO_MONEY.search(error.lowercase) else None
    # A code in the body (`QuotaExceeded`) names less than the sentence beside it.
    clause, statement, window = next((stated for stated in clauses if stated[2]), clauses[0])
    window = window or named
    if window is None and _is_burst(error):
        return None
    status = Status.NO_CREDIT if _MONEY.search(statement) else Status.REJECTED
    return of_window(ErrorClass(status, Scope.ACCOUNT), window, error, clause)


def refine(error: ErrorText, error_class: ErrorClass | None) -> ErrorClass | None:
    """The class of a family, and what the wording adds to it: the limit behind a bare throttle, the window it names."""
    if error_class is None:
        return classify(error)
    if error_class == _NO_CREDIT:
        # `insufficient_quota` is OpenAI's code for missing credit, and that of others for the limit of a period.
        general = classify(error)
        return general if general is not None and general.status is Status.REJECTED and general.windows else error_class
    if (
        error_class.status is not Status.REJECTED
        or error_class.windows
        or error_class.scope not in {None, Scope.ACCOUNT}
    ):
        return error_class
    general = classify(error)
    if general is None or error_class.scope is None:
        return general or error_class
    return replace(error_class, scope=general.scope, windows=general.windows)


def _window_field(text: str) -> str | None:
    """The window in a JSON field: `"limitName": "weekly"`."""
    names = (named_window(match[1].replace("_", " ").strip()) for match in _WINDOW_FIELD.finditer(text))
    return next((name for name in names if name is not None), None)


def of_window(error_class: ErrorClass, window: str | None, error: ErrorText, clause: str) -> ErrorClass:
    """The class with the window that a clause names; of a model if the text is about a limit of that model."""
    family, model = claude_family(clause), named_model(error.text)
    if family is not None:
        name = f"{window}_{family}" if window else None
    elif model is not None or concerns_a_model(error.lowercase):
        name = f"{model}:{window}" if model and window else None
    else:
        windows = () if window is None else (Window(window, 1.0, status=Status.REJECTED),)
        return replace(error_class, windows=windows)
    windows = () if name is None else (Window(name, 1.0, status=Status.REJECTED, scope=Scope.MODEL),)
    return replace(error_class, scope=Scope.MODEL, windows=windows)


def _is_burst(error: ErrorText) -> bool:
    """True if the text names a wait of some seconds: that is a rate."""
    end = _end(error)
    return end is not None and end.wait_s is not None and end.wait_s <= _BURST_S


def _end(error: ErrorText, windows: tuple[Window, ...] = ()) -> End | None:
    offset_h = _CHINA_H if error.account_type.startswith(_CHINESE_TYPES) else 0.0
    lengths = (window.period_s for window in windows if window.resets_at is None)
    return stated_end(error.lowercase, error.at, offset_h, next(lengths, None))


def _may_state_one(error: ErrorText) -> bool:
    if error.http_status in _SERVED:
        return _STRUCTURED.match(error.lowercase) is not None
    return error.http_status in _CODES


def _reached_limits(text: str, error: ErrorText, named: str | None) -> Iterator[tuple[str, str, str | None]]:
    """The clauses of a lower-case text that state a reached limit of use.

    Each comes with its part up to limit and verb, since what follows may be an offer ("add credits to continue"), and
    with the window that it names. `named` is the window that a field of the body names.
    """
    for match in _CLAUSE.finditer(text):
        clause = match[0].replace("_", " ")
        granted = _GRANTED.search(clause) if error.http_status == _TOO_MANY and "limit" in clause else None
        ended = _ENDED.search(clause) or granted
        limit = ended and (_LIMIT.search(clause) or granted)
        if ended is None or limit is None or not (named or granted or _OF_USE.search(clause)):
            continue
        if _CONDITION.search(clause, 0, ended.start()) or _OTHER_KIND.search(clause):
            continue
        if _RATE.search(clause) and not _PERIOD_OF_RATE.search(clause):
            continue
        end = max(ended.end(), limit.end())
        sum_of_money = _SUM.match(clause, end)
        window = named_window(clause) or ("5h" if "session" in clause else None)
        yield clause, clause[: sum_of_money.end() if sum_of_money else end], window


def with_model(error: ErrorText, error_class: ErrorClass) -> ErrorClass:
    """The class with what the text says about models. An error that a gateway relays concerns no account of its own."""
    if not _RELAYED.search(error.lowercase):
        of_model = named_model(error.text) is not None or concerns_a_model(error.lowercase)
        return replace(error_class, of_model=True) if of_model else error_class
    if error_class.scope is Scope.ACCOUNT and error_class.status in _ACCOUNTS:
        windows = tuple(
            replace(window, name=f"upstream:{window.name}", scope=Scope.MODEL) for window in error_class.windows
        )
        return replace(error_class, scope=Scope.MODEL, windows=windows, of_model=True)
    return replace(error_class, of_model=True)


def with_end(error: ErrorText, error_class: ErrorClass) -> ErrorClass:
    """The class with the end that the text states, unless its family has read one."""
    known = error_class.resets_at is not None or error_class.retry_after_s is not None
    if known or error_class.status not in _WITH_END:
        return error_class
    end = _end(error, error_class.windows)
    if end is None:
        return _by_length(error, error_class)
    of_limit = error_class.status in _OF_LIMITS and error_class.scope in {Scope.ACCOUNT, Scope.MODEL}
    resets_at = end.resets_at if of_limit or end.wait_s is None else None
    windows = tuple(
        replace(window, resets_at=end.resets_at) if window.resets_at is None and of_limit else window
        for window in error_class.windows
    )
    return replace(error_class, resets_at=resets_at, retry_after_s=end.wait_s, windows=windows)


def _by_length(error: ErrorText, error_class: ErrorClass) -> ErrorClass:
    """The refusal of a model that no window stands for, with an end after the period that the text names."""
    if error_class.status is not Status.REJECTED or error_class.scope is not Scope.MODEL or error_class.windows:
        return error_class
    window = named_window(error.lowercase)
    length = None if window is None else Window(window).period_s
    return error_class if length is None else replace(error_class, resets_at=error.at + length)
