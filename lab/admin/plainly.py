"""What CA, store and publisher raise, as the desk's errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ca.errors import CaError, NoSuchRequest
from ca.records import AlreadyExists, StoreUnavailable
from crl_publisher import PublicationRefused

from .desk import DeskRefused, DeskUnavailable, Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def plainly() -> Iterator[None]:
    """Turn what CA, store and publisher raise into the desk's errors."""
    try:
        yield
    except NoSuchRequest as error:
        raise NotFound(str(error), error.hresult_name) from error
    except CaError as error:
        raise DeskRefused(str(error), error.hresult_name) from error
    except AlreadyExists as error:
        raise DeskRefused("it exists already") from error
    except PublicationRefused as error:
        raise DeskRefused(f"the CRL was signed but not published: {error}") from error
    except (StoreUnavailable, OSError) as error:
        raise DeskUnavailable(str(error)) from error
    except OverflowError as error:
        raise Invalid("a number or an instant is out of range") from error
    except UnicodeError as error:
        raise Invalid("a text holds half a character, a lone surrogate") from error
