"""What holds for all tests: property tests draw the same cases every time and know no clock."""

from hypothesis import HealthCheck, settings

settings.register_profile("unetprep", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unetprep")
