"""What users import: `from lwr.adapter import Adapter`."""

from lwr.loading.adapter import Adapter, AdapterError

__all__ = ["Adapter", "AdapterError"]
