"""Worker processes at work on orders: what is alike for runs, improvements and growths of personas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError
from redis import RedisError

from generation.adapters.threads import closing
from generation.engine.errors import FatalError, OutOfCalls, TransientError
from generation.models.work import Costed
from generation.secrets import Undecryptable
from generation.services.work import orders, pullers

log = logging.getLogger(__name__)
Order = TypeVar("Order", bound=Costed)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Order]):
    """One kind of order."""

    orders: type[Order]
    work: Callable[[Order], Coroutine[Any, Any, None]]
    """Claims pieces and makes them, until none can be claimed or the order has ended."""
    finish: Callable[[Order], bool]
    """Closes an order whose pieces have all ended; whether it did."""

    def running(self) -> Iterable[Order]:
        return self.orders._default_manager.filter(state="running").order_by("pk")

    def has_work(self, order: Order) -> bool:
        """Whether a piece can be claimed now; closes the order when all of them have ended."""
        if order.pieces.waiting().exists():
            return not pullers.rests(order)
        self.finish(order)
        return False

    def pull(self, pk: int) -> None:
        """Work on an order, if it runs and has work. What only a person can mend fails it; what passes comes back by
        itself with the next tick, databases that do not answer as errors."""
        order = self.orders._default_manager.select_related("project").filter(pk=pk, state="running").first()
        if order is not None and self.has_work(order):
            _carry_out(self.work(order), order)


def _carry_out(work: Coroutine[Any, Any, None], order: Costed) -> None:
    try:
        asyncio.run(closing(work))
    except OutOfCalls as error:
        pullers.rest(order, error.retry_after, str(error))
    except (Undecryptable, FatalError) as error:
        orders.fail(order, str(error))
    except TransientError as error:
        pullers.tell(order, str(error))
    except (OperationalError, InterfaceError, RedisError):
        raise
    except Exception as error:
        name = order._meta.verbose_name
        log.exception("The %s %s could not be worked on.", name, order.pk)
        orders.fail(order, f"The work on this {name} broke off ({type(error).__name__}: {error}).")
