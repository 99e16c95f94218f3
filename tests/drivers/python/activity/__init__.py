"""An application of Django for django_test.py."""
