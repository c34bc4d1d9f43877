"""The tests of `make test-deploy` need 700 MB of packages, in an environment of its own."""

from importlib.util import find_spec

collect_ignore = ["test_schemas.py", "test_stack.py", "test_terraform.py"]
if find_spec("pulumi"):
    from tests.deploy.mocks import stack  # noqa: F401

    collect_ignore = []
