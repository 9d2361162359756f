"""Everything that decides what is found, read from files into one `DetectionSet`. Whole, or refused.

The same for a starting worker, a reload on SIGHUP, `qorgan detect` and a hunt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from detectors.correlation.resolve import resolve
from detectors.ioc.match import IndicatorIndex
from detectors.sigma.engine import Engine
from detectors.triage.attribution import Attribution
from enrichers.geo import NO_PLACES
from pipeline.correlating import Correlating
from pipeline.detecting import DetectionSet
from pipeline.event_list import load_event_list
from pipeline.indicators import LoadedIndicators, load_indicators
from pipeline.joining import Joining, wanted
from pipeline.places import load_places
from pipeline.rules import LoadedRules, load_rules
from pipeline.settings import Settings
from pipeline.stages import Stage, Stages, load_stages
from pipeline.tuning import read_tuning
from schemas.errors import RefusedError
from schemas.event_list import EventList

if TYPE_CHECKING:  # `qorgan detect` counts nothing
    from pipeline.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Loaded:
    """A detection set and what is to be said of it. `seconds` is how long loading took."""

    decide: DetectionSet
    rules: LoadedRules
    indicators: LoadedIndicators
    event_list: EventList
    stages: Stages
    seconds: float


def load(
    settings: Settings, least: Stage = "shadow", pause: Callable[[], None] = lambda: None, *, offline: bool = False
) -> Loaded:
    """Read rules, indicators and the event list that the settings name. Raises RefusedError, naming what to mend.

    `least`: rules that have not come so far are checked and not in force. `pause` is called now and then, so that who
    loads beside a stream can leave it the processor. `offline`: for who looks at files. Bad rules do not outvote the
    others, and a filter needs nobody who answers for it.
    """
    started = time.monotonic()
    zone = _zone(settings.timezone)
    tuning = replace(read_tuning(settings), unanswered=offline)
    rules = load_rules(settings.rules, settings.state_dir / "cache", zone, tuning, pause, offline)
    stages = load_stages(settings.stages)
    rules = kept(rules, stages, least, zone)
    indicators = load_indicators(settings.indicators)
    event_list = load_event_list(settings.event_list)
    shadow = stages.shadow([*rules.rules, *rules.correlations.ordered])
    travels = any(rule.kind == "travel" for rule in rules.correlations.ordered)
    decide = DetectionSet(
        rules.engine,
        indicators.index,
        Attribution(event_list),
        rules.suppressions,
        shadow,
        rules.correlations,
        load_places(settings.geo, pause) if travels else NO_PLACES,
        wanted(rules.rules),
    )
    return Loaded(decide, rules, indicators, event_list, stages, time.monotonic() - started)


def correlating(settings: Settings) -> Correlating:
    """What correlate needs of the same files: the correlations, the rules of joined events, the event list, the stages.

    Raises RefusedError.
    """
    zone = _zone(settings.timezone)
    rules = load_rules(settings.rules, settings.state_dir / "cache", zone, read_tuning(settings))
    stages = load_stages(settings.stages)
    rules = kept(rules, stages, "shadow", zone)
    correlations, suppressions = rules.correlations, rules.suppressions
    attribution = Attribution(load_event_list(settings.event_list))
    shadow = stages.shadow([*rules.rules, *correlations.ordered])
    decide = DetectionSet(rules.engine, IndicatorIndex(), attribution, suppressions, shadow, correlations)
    return Correlating(correlations, attribution, shadow, Joining.of(decide, zone))


def kept(rules: LoadedRules, stages: Stages, least: Stage, zone: ZoneInfo) -> LoadedRules:
    """The rules that have come so far at least. A correlation that names one that has not is refused by name."""
    stay = stages.kept(rules.rules, least)
    correlated = stages.kept(rules.correlations.ordered, least)
    if len(stay) == len(rules.rules) and len(correlated) == len(rules.correlations.ordered):
        return rules
    correlations, unresolved = resolve(stay, correlated)
    engine = Engine(stay, zone, shelf=rules.engine.shelf)
    return replace(
        rules,
        engine=engine,
        rules=engine.rules,
        revision=engine.revision,
        correlations=correlations,
        refused=(*rules.refused, *unresolved),
    )


def _zone(name: str) -> ZoneInfo:
    """The bank's zone: parts of times (Sigma's `hour`, `day`, …) are told by it."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise RefusedError(f"There is no time zone {name}: set QORGAN_TIMEZONE, e.g. to Asia/Almaty.") from None


def blind(loaded: Loaded) -> list[str]:
    """Titles of the detectors that can find nothing, since no snapshot says where addresses are."""
    rules = loaded.rules.correlations.ordered if not loaded.decide.places.count else ()
    return [rule.title for rule in rules if rule.kind == "travel"]


def count(loaded: Loaded, metrics: Metrics) -> None:
    """Say in the metrics what is in force."""
    metrics["rules_loaded"].set(len(loaded.rules.rules))
    metrics["rules_shadow"].set(len(loaded.decide.shadow))
    metrics["detectors_blind"].set(len(blind(loaded)))
    metrics["rules_refused"].set(len(loaded.rules.refused))
    metrics["indicators_loaded"].set(loaded.indicators.count)
